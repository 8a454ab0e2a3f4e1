"""Scores as they are made: rows of Parquet files, from which an interrupted evaluation goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from arbiscale.evaluation.comparisons import Album
from arbiscale.evaluation.scores import KEYS, SETTINGS, Score
from arbiscale.files import atomic_file
from arbiscale.progress import LongTask

FLUSH_SECONDS = 20.0  # of work that an interruption may cost
NEIGHBOURS = 16  # pictures that one process measures in a row, at most


class Work(Protocol):
    """What is measured of one data set."""

    @property
    def place(self) -> str:
        """What the data set is called; unique in an evaluation."""

    @property
    def names(self) -> Sequence[str]:
        """Of its pictures, each unique."""

    @property
    def shown(self) -> Sequence[str]:
        """The names of those that are kept to look at."""

    @property
    def albums(self) -> Sequence[str]:
        """The groups in which they are."""

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        """Some pictures, as numbers, that are done, and all their lines."""


class Scratch:
    """Where an evaluation keeps what it has made: lines of the table in Parquet files, pictures, features.

    Each file holds some pictures' whole lines. Several processes may write into one folder.

    Attributes:
        process: number of the one that writes here.
        album: pictures to look at.
        features: folder for those of generated pictures.

    Args:
        folder: of one evaluation.
        process: as above.
    """

    def __init__(self, folder: Path, process: int = 0) -> None:
        self.process, self.album, self.features = process, Album(folder / "pictures"), folder / "features"
        self._folder = folder / "scores"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._waiting: list[Score] = []
        self._flushed = time.monotonic()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    def done(self) -> set[tuple[str, str]]:
        """Place and name of every picture whose lines are here."""
        keys = (pd.read_parquet(part, columns=["place", "picture"]) for part in self._parts())
        return {(place, name) for part in keys for place, name in part.itertuples(index=False)}

    def add(self, lines: list[Score]) -> None:
        """Add all lines of some pictures; they are on disk within FLUSH_SECONDS of work, or by `flush`."""
        self._waiting += lines
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            number = len([*self._folder.glob(f"{self.process:03d}-*")])
            with atomic_file(self._folder / f"{self.process:03d}-{number:06d}.parquet") as temporary:
                pd.DataFrame(self._waiting).to_parquet(temporary, index=False)
            self._waiting = []
        self._flushed = time.monotonic()

    def read(self, works: Sequence[Work]) -> pd.DataFrame:
        """Every line of these works' pictures, in their order, whoever wrote them and when."""
        keys = [(work.place, name) for work in works for name in work.names]
        order = {key: number for number, key in enumerate(keys)}
        lines = pd.concat([pd.read_parquet(part) for part in self._parts()] or [pd.DataFrame(columns=KEYS)])
        place = [order.get(key, -1) for key in zip(lines.place, lines.picture, strict=True)]
        known = lines.assign(place_in_order=place).sort_values("place_in_order", kind="stable")
        kept = known[known.place_in_order >= 0].drop(columns="place_in_order")
        return kept.reindex(columns=[*dict.fromkeys((*KEYS, *SETTINGS, *kept))]).reset_index(drop=True)


def measure(works: Sequence[Work], scratch: Scratch, processes: int = 1) -> None:
    """Measure what is missing of a process's share of every work.

    A picture belongs to one process, by its number, and its lines are the same in whichever: totals are
    exact, also where an evaluation goes on with more or fewer processes.
    """
    done = scratch.done()
    try:
        for work in works:
            names = work.names
            in_a_row = min(NEIGHBOURS, math.ceil(len(names) / processes))
            own = [each for each in range(len(names)) if each // in_a_row % processes == scratch.process]
            left = [number for number in own if (work.place, names[number]) not in done]
            with LongTask(work.place, len(own), "pictures", done=len(own) - len(left)) as task:
                for numbers, lines in work.measure(left):
                    scratch.add(lines)
                    task.advance(len(numbers))
    finally:
        scratch.flush()
