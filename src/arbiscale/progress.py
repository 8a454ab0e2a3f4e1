"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

Item = TypeVar("Item")

LINE_SECONDS = 15.0  # between lines where no terminal is
DRAWING_LINE_SECONDS = 60.0


class LongTask:
    """Shows how much is done, at what rate, and the time left."""

    def __init__(self, name: str, total: int, unit: str, *, done: int = 0) -> None:
        """Start the clock.

        Args:
            name: shown first.
            total: what is to be done.
            unit: of `total`, in the plural.
            done: by an earlier process; the rate does not count it.
        """
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self._first = done
        self._started = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{{task.fields[note]}} · {{task.fields[rate]:.2f}} {unit}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(name, total=total, completed=done, note="", rate=0.0)
        if self._bar.console.is_terminal:
            self._bar.start()

    def __enter__(self) -> LongTask:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def rate(self) -> float:
        """Units a second, since this process began."""
        return (self.done - self._first) / max(time.monotonic() - self._started, 1e-9)

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar, or print a line when the last is old or this is the end.

        Args:
            count: what was done since the last call.
            note: what to say beside the numbers.
        """
        self.done += count
        self._bar.update(self._task, completed=self.done, note=note, rate=self.rate)
        now = time.monotonic()
        if self._bar.live.is_started or (now - self._last_line < LINE_SECONDS and self.done < self.total):
            return
        self._last_line = now
        left_seconds = (self.total - self.done) / self.rate
        print(
            f"{self.name}  {self.done}/{self.total} {self.unit}  {note}  "
            f"{self.rate:.2f} {self.unit}/s  {left_seconds:.0f} s left",
            flush=True,
        )

    def stop(self) -> None:
        """Give the terminal back."""
        if self._bar.live.is_started:
            self._bar.stop()


def readable_size(size_bytes: int) -> str:
    """A number of bytes for people, such as `3.40 GiB`, `12.0 MiB` or `700 B`."""
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    decimals = {"B": 0, "GiB": 2}.get(unit, 1)
    return f"{size:.{decimals}f} {unit}"


def progress(items: Iterable[Item], *, total: int, doing: str) -> Iterable[Item]:
    """Pass the items on, with a bar on the terminal; silent where stderr is none."""
    console = Console(stderr=True)
    return track(items, doing, total=total, console=console, transient=True, disable=not console.is_terminal)


@dataclass
class _Work:
    """How much of one kind is asked for by the pictures begun, is done, and how long that took."""

    asked: int = 0
    done: int = 0
    seconds: float = 0.0

    def expected(self, times: float) -> float | None:
        """The seconds that so many times what is asked for takes; None = not known yet."""
        return self.seconds * self.asked * times / self.done if self.done else None


class DrawingProgress:
    """How far some pictures are: passes of networks that sample, and pixels drawn, each timed by itself.

    Pictures to come are taken to be like those begun, and drawing to take as long as sampling until the first
    pixels tell. Where no terminal is, a line a minute says the same.
    """

    def __init__(self, progress: Progress, pictures: int) -> None:
        self._progress = progress
        self._pictures = pictures
        self._begun = 0
        self._sampling, self._drawing = _Work(), _Work()
        self._name = "loading the model"
        self._last_event = self._last_line = time.monotonic()
        self._task = progress.add_task(self._name, total=1.0, said="")

    def begin(self, name: str, pixels: int, passes: int = 0) -> None:
        """A picture of so many pixels comes next, and so many passes of networks before any is drawn."""
        self._begun += 1
        self._sampling.asked += passes
        self._drawing.asked += pixels
        self._name = f"{name} ({self._begun}/{self._pictures})" if self._pictures > 1 else name
        self._last_event = time.monotonic()
        self._progress.update(self._task, description=escape(self._name))

    def passed(self) -> None:
        """A network has seen the picture, or a tile of it: a step of sampling, for one."""
        if not self._begun:  # a trial, before any picture
            return
        if self._sampling.done < self._sampling.asked:
            self._count(self._sampling, 1)
        else:
            self._count(self._drawing, 0)  # features of what is drawn next

    def advance(self, pixels: int) -> None:
        """So many pixels were drawn."""
        self._count(self._drawing, pixels)

    def _count(self, work: _Work, amount: int) -> None:
        now = time.monotonic()
        work.done += amount
        work.seconds += now - self._last_event
        self._last_event = now
        spent, left = self._sampling.seconds + self._drawing.seconds, self._seconds_left()
        share = 0.0 if left is None else spent / max(spent + left, 1e-9)
        remaining = "" if left is None else f"{timedelta(seconds=round(left))} left"
        said = "  ".join(part for part in (f"{share:.0%}", self._detail(work), remaining) if part)
        self._progress.update(self._task, completed=share, said=said)
        if self._progress.disable and now - self._last_line >= DRAWING_LINE_SECONDS:
            self._last_line = now
            print(f"{self._name}  {said}", file=sys.stderr, flush=True)

    def _seconds_left(self) -> float | None:
        """None = nothing is known yet."""
        pictures = self._pictures / self._begun
        sampling, drawing = self._sampling.expected(pictures), self._drawing.expected(pictures)
        if drawing is None:
            drawing = sampling
        if drawing is None:
            return None
        return max(0.0, (sampling or 0.0) + drawing - self._sampling.seconds - self._drawing.seconds)

    def _detail(self, work: _Work) -> str:
        if work is self._sampling:
            return f"{work.done} of {work.asked} network passes"
        return f"{work.done / work.seconds / 1e6:.2f} megapixels/s" if work.done and work.seconds else ""


@contextmanager
def drawing_progress(pictures: int) -> Iterator[DrawingProgress]:
    """A bar on standard error; lines where that is no terminal."""
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}")]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield DrawingProgress(progress, pictures)
