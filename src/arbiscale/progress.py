"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

if TYPE_CHECKING:
    from rich.progress import Progress


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


def progress(items: Iterable[Item], *, total: int, doing: str) -> Iterable[Item]:
    """Pass the items on, with a bar on the terminal; silent where stderr is none."""
    console = Console(stderr=True)
    return track(items, doing, total=total, console=console, transient=True, disable=not console.is_terminal)


class DrawingProgress:
    """Counts networks' passes, and pixels drawn, of pictures whose sizes become known one by one.

    Where no terminal is, a line a minute says how far the work is.
    """

    def __init__(self, progress: Progress, pictures: int) -> None:
        self._progress = progress
        self._pictures = pictures
        self._begun = self._passes = 0
        self._name = ""
        self._last_line = time.monotonic()
        self._task = progress.add_task("", total=None, rate="")

    def begin(self, name: str, pixels: int) -> None:
        """A picture of so many output pixels comes next; those to follow are taken to be like it."""
        self._begun += 1
        left = (self._pictures - self._begun + 1) * pixels
        done = self._progress.tasks[self._task].completed
        self._name = f"{name} ({self._begun}/{self._pictures})" if self._pictures > 1 else name
        self._progress.update(self._task, description=escape(self._name), total=done + left)

    def passed(self) -> None:
        """A network has seen the picture, or a tile of it: a step of sampling, for one."""
        self._passes += 1
        self._say(f"{self._passes} network passes")

    def advance(self, pixels: int) -> None:
        """So many pixels were drawn."""
        self._progress.advance(self._task, pixels)
        speed = self._progress.tasks[self._task].speed
        self._say(f"{speed / 1e6:.2f} megapixels/s" if speed else "")

    def _say(self, rate: str) -> None:
        self._progress.update(self._task, rate=rate)
        now = time.monotonic()
        if self._progress.disable and now - self._last_line >= DRAWING_LINE_SECONDS:
            self._last_line = now
            task = self._progress.tasks[self._task]
            left = "" if task.time_remaining is None else f"  {task.time_remaining:.0f} s left"
            print(f"{self._name}  {task.percentage:.0f} %  {rate}{left}", file=sys.stderr, flush=True)


@contextmanager
def drawing_progress(pictures: int) -> Iterator[DrawingProgress]:
    """A bar on standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}")]
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield DrawingProgress(progress, pictures)
