"""By how much one model is better than another, on the same pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from arbiscale.evaluation.intervals import bootstrap_interval
from arbiscale.evaluation.paired import paired
from arbiscale.report.measures import Measure, measures

LEAST_PHOTOGRAPHS = 2  # one says nothing of others


@dataclass(frozen=True)
class Gain:
    """The paired difference of two models in one metric.

    Attributes:
        metric: by its name.
        before: the mean of the one.
        after: that of the other.
        difference: mean of what the other is better by, a picture; NaN = not measured.
        low: of its 95 % interval.
        high: likewise.
        pictures: that have a value in both.
        photographs: of these pictures.
        unmatched: pictures with a value in one of both only.
    """

    metric: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    pictures: int
    photographs: int
    unmatched: int

    @property
    def measure(self) -> Measure:
        """How the metric is shown."""
        (measure,) = measures([self.metric])
        return measure

    @property
    def verdict(self) -> str:
        """In a word or two, whether the other is better for sure."""
        if not self.pictures:
            return ""
        if self.photographs < LEAST_PHOTOGRAPHS:
            return "too few photographs"
        if self.unmatched:
            return f"{self.unmatched} pictures without a value"
        if self.low == self.high == 0:
            return "the same"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within chance"

    def text(self) -> str:
        """Means, difference and interval for a terminal; see `gains_head`."""
        if not self.pictures:
            return f"{'not measured':>62}"
        before, after = (self._shown(value) for value in (self.before, self.after))
        interval = f"{self.low:+.4f} to {self.high:+.4f}"
        return f"{before:>14}{after:>14}{self.difference:>+12.4f}{interval:>22}"

    def _shown(self, value: float) -> str:
        return f"{self.measure.text(value)} {self.measure.unit}".strip()


def gains_head(before: str, after: str) -> str:
    """The columns of `Gain.text`."""
    return f"{before:>14}{after:>14}{'better by':>12}{'95 % interval':>22}"


def gain(before: pd.DataFrame, after: pd.DataFrame, metric: str, seed: int = 0) -> Gain:
    """Compare two models' lines of tables of scores; photographs are resampled with all their pictures.

    Args:
        before: of the one; see `arbiscale.evaluation.paired`.
        after: of the other.
        metric: a column.
        seed: of the bootstrap.
    """
    (measure,) = measures([metric])
    both = paired(before, after, metric)
    both["gain"] = both["before"].map(measure.badness) - both["after"].map(measure.badness)
    matched = both[np.isfinite(both["gain"].astype(float))]
    unmatched = len(both) - len(matched)
    if matched.empty:
        return Gain(metric, *(math.nan,) * 5, 0, 0, unmatched)
    gains = matched["gain"]
    low, high = bootstrap_interval(gains.to_numpy(), [*matched["photograph"]], seed)
    return Gain(
        metric,
        before=float(matched["before"].mean()),
        after=float(matched["after"].mean()),
        difference=float(gains.mean()),
        low=low,
        high=high,
        pictures=len(matched),
        photographs=matched["photograph"].nunique(),
        unmatched=unmatched,
    )
