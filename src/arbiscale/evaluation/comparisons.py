"""Pictures that are kept to look at: some of every group, and those that a model improved most and least."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.pairs import Pairs
from arbiscale.imaging.detail import Box, busiest_square
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.resize import resize

PER_ROW = 6  # pictures of different photographs, in each group
KEPT_PX = 512  # side of the part of them that is kept of larger pictures
BEST, BEST_PX = 2, 384  # the same for the best pictures, and for the worst


@dataclass(frozen=True)
class Comparison:
    """Pictures of one subject, uint8 (height, width, 3), by their label."""

    title: str
    pictures: dict[str, NDArray[np.uint8]]
    metrics: dict[str, dict[str, float]]  # of the pictures that have some


class ComparisonBuilder:
    """Collects what every row draws of one picture of a batch; of a large one, of its busiest part."""

    def __init__(self, pairs: Pairs, index: int) -> None:
        """Begin with the low resolution, each of its pixels a square.

        Args:
            pairs: the batch.
            index: of the picture in it.
        """
        truth = pairs.truth[index]
        self._index = index
        self._box = kept_part(to_array(truth), KEPT_PX)
        self._truth = self._part(truth)
        low = resize(pairs.low[[index]], (truth.shape[-2], truth.shape[-1]), "nearest")[0]
        self._comparison = Comparison(pairs.photographs[index], {"low resolution": self._part(low)}, {})

    def add(self, row: str, images: Tensor, metrics: Mapping[str, Sequence[float]]) -> None:
        """Take what a row drew of the batch, (batch, 3, height, width) in [-1, 1], and its metrics."""
        self._comparison.pictures[row] = self._part(images[self._index].nan_to_num(0))
        self._comparison.metrics[row] = of_one(metrics, self._index)

    def finish(self) -> Comparison:
        """The comparison, with the truth as its last picture."""
        self._comparison.pictures["ground truth"] = self._truth
        return self._comparison

    def _part(self, image: Tensor) -> NDArray[np.uint8]:
        left, top, right, bottom = self._box
        return to_array(image[:, top:bottom, left:right])


@dataclass(frozen=True)
class Improvement:
    """One picture, and the gain in PSNR on it, in dB."""

    gain_db: float
    number: int  # of the picture, in the order of offering
    comparison: Comparison


@dataclass
class BestAndWorst:
    """The pictures on which a row gained most and least PSNR over another; few are held at any time.

    Attributes:
        row: the row whose gain is measured.
        over: the row that it is measured against.
    """

    row: str
    over: str
    _least: list[Improvement] = field(default_factory=list)
    _most: list[Improvement] = field(default_factory=list)
    _offered: int = 0

    def offer(self, gain_db: float, make: Callable[[], Comparison]) -> None:
        """Keep a picture if it is among the best or worst so far; only then is `make` called.

        A picture without a gain (NaN) is passed over. Of equal gains the picture offered first is kept.
        """
        number, self._offered = self._offered, self._offered + 1
        if not math.isfinite(gain_db):
            return
        least = len(self._least) < BEST or gain_db < self._least[-1].gain_db
        most = len(self._most) < BEST or gain_db > self._most[-1].gain_db
        if least or most:
            improvement = Improvement(gain_db, number, make())
            if least:
                self._least = sorted([*self._least, improvement], key=lambda each: each.gain_db)[:BEST]
            if most:
                self._most = sorted([*self._most, improvement], key=lambda each: -each.gain_db)[:BEST]

    def best(self) -> list[Improvement]:
        """At most BEST pictures, the largest gain first; of very few pictures the better half."""
        kept = self._by_gain()
        return kept[len(self.worst()) :][::-1][:BEST]

    def worst(self) -> list[Improvement]:
        """At most BEST pictures, the smallest gain first; of very few pictures the worse half."""
        kept = self._by_gain()
        return kept[: min(BEST, len(kept) // 2)]

    def _by_gain(self) -> list[Improvement]:
        """Every kept picture once, the smallest gain first."""
        kept = {each.number: each for each in (*self._least, *self._most)}
        return sorted(kept.values(), key=lambda each: (each.gain_db, each.number))


def kept_part(truth: NDArray[np.uint8], most_px: int = BEST_PX) -> Box:
    """(left, top, right, bottom) of the part that is kept: the whole picture, or its busiest square."""
    height, width = truth.shape[:2]
    if max(height, width) <= most_px:
        return 0, 0, width, height
    return busiest_square(truth, min(most_px, height, width))


def one_per_photograph(photographs: Sequence[str], count: int = PER_ROW) -> list[int]:
    """The first picture of each photograph, at most `count` of them."""
    return [photographs.index(name) for name in dict.fromkeys(photographs)][:count]


def of_one(metrics: Mapping[str, Sequence[float]], index: int) -> dict[str, float]:
    """The metrics of one picture of a batch."""
    return {name: values[index] for name, values in metrics.items()}
