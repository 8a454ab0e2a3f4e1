"""Pictures to look at: some of every group, and those that a model improved most and least."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.pairs import Pairs
from arbiscale.files import atomic_file
from arbiscale.imaging.detail import Box, busiest_square
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.resize import resize

PER_GROUP = 6  # pictures of different photographs
KEPT_PX = 512  # side of the part that is kept of larger pictures
EXTREMES, EXTREME_PX = 2, 384  # the same for the best pictures, and for the worst
LOW, TRUTH = "low resolution", "ground truth"


@dataclass(frozen=True)
class Comparison:
    """Pictures of one subject, uint8 (height, width, 3), by their label.

    Attributes:
        title: the photograph.
        pictures: by label, which is the row of those that a row drew.
        metrics: of the pictures that have some.
    """

    title: str
    pictures: dict[str, NDArray[np.uint8]]
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


class ComparisonBuilder:
    """Collects what every row draws of one picture of a batch; of a large one, of its busiest part.

    Args:
        pairs: the batch.
        index: of the picture in it.
        most_px: side of the part that is kept.
    """

    def __init__(self, pairs: Pairs, index: int, most_px: int = KEPT_PX) -> None:
        truth = pairs.truth[index]
        self.picture = pairs.pictures[index]
        self._index = index
        self._box = kept_part(to_array(truth), most_px)
        low = resize(pairs.low[[index]], pairs.size, "nearest")[0]  # each of its pixels a square
        self._pictures, self._truth = {LOW: self._part(low)}, self._part(truth)

    def add(self, row: str, images: Tensor) -> None:
        """Take what a row drew of the batch, (batch, 3, height, width) in [-1, 1]."""
        self._pictures[row] = self._part(images[self._index].nan_to_num(0))

    def finish(self) -> dict[str, NDArray[np.uint8]]:
        """The pictures, the truth last."""
        return self._pictures | {TRUTH: self._truth}

    def _part(self, image: Tensor) -> NDArray[np.uint8]:
        left, top, right, bottom = self._box
        return to_array(image[:, top:bottom, left:right])


class Album:
    """Pictures to look at, in a folder until the evaluation is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, group: str, name: str, pictures: dict[str, NDArray[np.uint8]]) -> None:
        """Keep the pictures of one subject, by label."""
        with atomic_file(self._file(group, name)) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **pictures)  # type: ignore[arg-type]

    def find(self, group: str, name: str) -> dict[str, NDArray[np.uint8]]:
        """What was kept; empty where nothing was."""
        try:
            stored = self._file(group, name).read_bytes()
        except FileNotFoundError:
            return {}
        with np.load(io.BytesIO(stored)) as pictures:
            return {label: pictures[label] for label in pictures.files}

    def _file(self, group: str, name: str) -> Path:
        return self._folder / group / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npz"


class PictureWork:
    """A work on photographs; see `arbiscale.evaluation.store.Work`."""

    pictures: Sequence[HeldOutPicture]

    @property
    def names(self) -> list[str]:
        """Of the pictures."""
        return [picture.name for picture in self.pictures]

    @property
    def shown(self) -> list[str]:
        """The first of each of the first photographs."""
        firsts: dict[str, str] = {}
        for picture in self.pictures:
            if len(firsts) == PER_GROUP:
                break
            firsts.setdefault(picture.photograph, picture.name)
        return [*firsts.values()]


def extremes(scores: pd.DataFrame, row: str, over: str) -> tuple[list[str], list[str]]:
    """The pictures of a group on which a row gained most, and least, PSNR over another.

    The largest gain, and the smallest, come first; no picture is both, and of very few the better half is
    best. Pictures without a gain (NaN) are passed over.
    """
    psnr = {name: scores[scores.row == name].set_index("picture").psnr for name in (row, over)}
    gains = (psnr[row] - psnr[over]).reindex(psnr[row].index).dropna().sort_values(kind="stable")
    least = [*gains.index[: min(EXTREMES, len(gains) // 2)]]
    most = [*gains.index[len(least) :][::-1][:EXTREMES]]
    return most, least


def kept_part(truth: NDArray[np.uint8], most_px: int = EXTREME_PX) -> Box:
    """(left, top, right, bottom) of the part that is kept: the whole picture, or its busiest square."""
    height, width = truth.shape[:2]
    if max(height, width) <= most_px:
        return 0, 0, width, height
    return busiest_square(truth, min(most_px, height, width))
