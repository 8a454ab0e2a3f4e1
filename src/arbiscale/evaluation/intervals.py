"""How certain a mean is: bootstrap intervals (Efron and Tibshirani 1993, the percentile method)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.scores import Evaluation

RESAMPLES = 2000
CONFIDENCE = 0.95
DRAWS_AT_ONCE = 2**22  # 32 MiB


@dataclass(frozen=True)
class Interval:
    """A mean over pictures and its 95 % interval."""

    group: str
    row: str
    metric: str
    mean: float
    low: float
    high: float
    pictures: int
    photographs: int


def intervals(evaluation: Evaluation, seed: int) -> Iterator[Interval]:
    """The interval of every mean that has a value; the same for the same scores and seed.

    Photographs are resampled with all their crops, because crops of one photograph resemble each other.
    """
    for group, row, scores in evaluation.rows():
        names = [score.photograph for score in scores]
        for metric in scores[0].metrics:
            values = np.array([score.metrics[metric] for score in scores])
            if np.isfinite(values).all():
                low, high = bootstrap_interval(values, names, seed)
                mean = float(values.mean())
                yield Interval(group, row, metric, mean, low, high, len(values), len(set(names)))


def bootstrap_interval(
    values: NDArray[np.float64], clusters: Sequence[str], seed: int
) -> tuple[float, float]:
    """The 95 % interval of a mean, shape (values,), by drawing whole clusters with replacement.

    Args:
        values: finite, one per picture.
        clusters: the name of each value's cluster.
        seed: of the draws.
    """
    names, member = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(member, values), np.bincount(member)  # (clusters,)
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // len(names))
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, at_once):
        part = means[start : start + at_once]  # a view
        drawn = generator.integers(len(names), size=(len(part), len(names)))
        part[:] = sums[drawn].sum(1) / counts[drawn].sum(1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
