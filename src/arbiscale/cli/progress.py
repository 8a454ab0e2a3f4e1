"""Progress of drawing on a terminal: which picture, how fast, how long still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class DrawingProgress:
    """Counts pixels drawn of pictures whose sizes become known one by one."""

    def __init__(self, progress: Progress, pictures: int) -> None:
        self._progress = progress
        self._pictures = pictures
        self._begun = 0
        self._task = progress.add_task("", total=None, rate="")

    def begin(self, name: str, pixels: int) -> None:
        """A picture of so many output pixels comes next; those to follow are taken to be like it."""
        self._begun += 1
        left = (self._pictures - self._begun + 1) * pixels
        done = self._progress.tasks[self._task].completed
        title = f"{name} ({self._begun}/{self._pictures})" if self._pictures > 1 else name
        self._progress.update(self._task, description=title, total=done + left)

    def advance(self, pixels: int) -> None:
        """So many pixels were drawn."""
        self._progress.advance(self._task, pixels)
        speed = self._progress.tasks[self._task].speed
        if speed:
            self._progress.update(self._task, rate=f"{speed / 1e6:.2f} megapixels/s")


@contextmanager
def drawing_progress(pictures: int) -> Iterator[DrawingProgress]:
    """A bar on standard error; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}")]
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield DrawingProgress(progress, pictures)
