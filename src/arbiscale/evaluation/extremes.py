"""The pictures that a model improved most and least: few are held, however many it drew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arbiscale.imaging.detail import Box, busiest_square

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arbiscale.evaluation.scores import Comparison

KEPT = 2  # pictures of either kind
WINDOW_PX = 384  # side of the part that is kept of larger pictures


@dataclass(frozen=True)
class Extreme:
    """One picture, and what the row gained on it: PSNR above the other row's, in dB."""

    gain_db: float
    number: int  # in the order of offering
    comparison: Comparison


@dataclass
class Extremes:
    """The pictures on which one row gained most and least PSNR over another.

    Attributes:
        row: whose gain.
        over: the row that it is measured against.
    """

    row: str
    over: str
    _least: list[Extreme] = field(default_factory=list)
    _most: list[Extreme] = field(default_factory=list)
    _offered: int = 0

    def offer(self, gain_db: float, make: Callable[[], Comparison]) -> None:
        """Keep a picture that is among the extremes so far; `make` is called for no other.

        Without a gain (NaN) a picture is passed over. Of equal gains the picture offered first is kept.
        """
        number, self._offered = self._offered, self._offered + 1
        if not math.isfinite(gain_db):
            return
        least = len(self._least) < KEPT or gain_db < self._least[-1].gain_db
        most = len(self._most) < KEPT or gain_db > self._most[-1].gain_db
        if least or most:
            extreme = Extreme(gain_db, number, make())
            if least:
                self._least = sorted([*self._least, extreme], key=lambda each: each.gain_db)[:KEPT]
            if most:
                self._most = sorted([*self._most, extreme], key=lambda each: -each.gain_db)[:KEPT]

    def best(self) -> list[Extreme]:
        """At most KEPT pictures, the largest gain first; of very few pictures the better half."""
        kept = self._by_gain()
        return kept[len(self.worst()) :][::-1][:KEPT]

    def worst(self) -> list[Extreme]:
        """At most KEPT pictures, the smallest gain first; of very few pictures the worse half."""
        kept = self._by_gain()
        return kept[: min(KEPT, len(kept) // 2)]

    def _by_gain(self) -> list[Extreme]:
        """Every kept picture once, the smallest gain first."""
        kept = {each.number: each for each in (*self._least, *self._most)}
        return sorted(kept.values(), key=lambda each: (each.gain_db, each.number))


def window(truth: NDArray[np.uint8], most_px: int = WINDOW_PX) -> Box:
    """(left, top, right, bottom) of the part that is kept: the whole, or the busiest square."""
    height, width = truth.shape[:2]
    if max(height, width) <= most_px:
        return 0, 0, width, height
    return busiest_square(truth, min(most_px, height, width))
