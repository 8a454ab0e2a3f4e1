"""By how much one model is better than another, on the same pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from arbiscale.evaluation.intervals import bootstrap_interval
from arbiscale.evaluation.paired import paired, protocol_of
from arbiscale.evaluation.scores import KEYS
from arbiscale.report.measures import Measure, interval_text, measures, signed

_DECIMALS = 4  # of differences
_COLUMN = 14  # characters of the models' columns
LEAST_SCENES = 2  # one says nothing of others


@dataclass(frozen=True)
class Gain:
    """The paired difference of two models in one metric.

    Attributes:
        metric: by its name.
        before: the mean of the one.
        after: that of the other.
        difference: mean of what the other is better by, a picture; NaN = not measured.
        low: of its 95 % interval; NaN = one scene has none.
        high: likewise.
        pictures: that have a value in both.
        scenes: that these pictures show.
        unmatched: pictures with a value in one of both only.
    """

    metric: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    pictures: int
    scenes: int
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
        if self.scenes < LEAST_SCENES:
            return "too few scenes"
        if self.unmatched:
            return f"{self.unmatched} pictures without a value"
        if signed(self.low, _DECIMALS) == signed(self.high, _DECIMALS) == signed(0, _DECIMALS):
            return "the same"  # as shown
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within chance"

    def values(self) -> dict[str, Any]:
        """As it is recorded and printed as JSON: NaN is None."""
        nan = {name for name, value in vars(self).items() if isinstance(value, float) and math.isnan(value)}
        return vars(self) | dict.fromkeys(nan)

    def text(self) -> str:
        """Means, difference, interval and what they are of, for a terminal; see `gains_head`."""
        if not self.pictures:
            return f"{self.metric:92}"
        before, after = (self._shown(value) for value in (self.before, self.after))
        shown_as = partial(signed, decimals=_DECIMALS)
        interval = interval_text(self.low, self.high, shown_as) or "–"
        means = f"{self.metric:12}{before:>{_COLUMN}}{after:>{_COLUMN}}{shown_as(self.difference):>12}"
        return f"{means}{interval:>22}{self.pictures:>10}{self.scenes:>8}"

    def _shown(self, value: float) -> str:
        return f"{self.measure.text(value)} {self.measure.unit}".strip()


def gains_head(before: str, after: str) -> str:
    """The columns of `Gain.text`."""
    means = f"{'':12}{before:>{_COLUMN}}{after:>{_COLUMN}}{'better by':>12}{'95 % interval':>22}"
    return f"{means}{'pictures':>10}{'scenes':>8}"


def gain(before: pd.DataFrame, after: pd.DataFrame, metric: str, seed: int = 0) -> Gain:
    """Compare two models' lines of tables of scores; scenes are resampled with all their pictures.

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
    low, high = bootstrap_interval(gains.to_numpy(), [*matched["scene"]], seed)
    return Gain(
        metric,
        before=float(matched["before"].mean()),
        after=float(matched["after"].mean()),
        difference=float(gains.mean()),
        low=low,
        high=high,
        pictures=len(matched),
        scenes=matched["scene"].nunique(),
        unmatched=unmatched,
    )


def gains_by_group(
    before: pd.DataFrame, after: pd.DataFrame, *, each_group: bool = False
) -> Iterator[tuple[str, list[Gain]]]:
    """What the second is better by, in every protocol that both have pictures of.

    Args:
        before: lines of the one; see `arbiscale.evaluation.paired`.
        after: of the other.
        each_group: every scale or size by itself, not all of a protocol together.
    """
    shared = {*before["group"]} & {*after["group"]}
    first, second = (_tables(scores, shared, each_group=each_group) for scores in (before, after))
    for name in first:
        columns = [column for column in first[name] if column not in KEYS and column in second[name]]
        metrics = [each.name for each in measures(columns) if each.better != "neither"]
        found = [gain(first[name], second[name], metric) for metric in metrics]
        if known := [each for each in found if each.pictures]:
            yield name, known


def _tables(scores: pd.DataFrame, groups: set[str], *, each_group: bool) -> dict[str, pd.DataFrame]:
    """The lines by group, or by protocol."""
    scores = scores[scores["group"].isin(groups)]
    by = scores["group"] if each_group else scores["group"].map(protocol_of)
    return {str(name): lines for name, lines in scores.groupby(by, sort=False)}


def gains_lines(group: str, gains: Sequence[Gain], before: str, after: str) -> Iterator[str]:
    """The gains in a group or protocol, for a terminal; columns have the models' names where these fit."""
    if max(len(before), len(after)) >= _COLUMN:
        before, after = "before", "after"
    yield group
    yield gains_head(before, after)
    for each in gains:
        yield f"{each.text()}  {each.verdict}"
