"""A progress bar for work on many files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def progress(items: Iterable[Item], *, total: int, doing: str) -> Iterable[Item]:
    """Pass the items on, with a bar on the terminal; silent where stderr is none."""
    console = Console(stderr=True)
    return track(items, doing, total=total, console=console, transient=True, disable=not console.is_terminal)
