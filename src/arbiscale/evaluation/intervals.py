"""How certain means and differences are: bootstrap intervals (Efron and Tibshirani 1993, percentiles)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from arbiscale.evaluation.scores import Evaluation

RESAMPLES = 2000
CONFIDENCE = 0.95
DRAWS_AT_ONCE = 2**22  # 32 MiB


@dataclass(frozen=True)
class Interval:
    """A mean over pictures with its 95 % interval: of a metric, or of its difference to another row.

    Attributes:
        over: the other row, on the same pictures; empty = none is subtracted.
    """

    group: str
    row: str
    over: str
    metric: str
    mean: float
    low: float
    high: float
    pictures: int
    scenes: int


def intervals(evaluation: Evaluation, last: str, seed: int) -> Iterator[Interval]:
    """The interval of every mean, and of the last model's differences to every other row.

    Scenes are resampled with all their pictures, because views of one scene resemble each other; the ends of
    one scene's are NaN. A row that lacks a picture's value has no interval there. The same scores and seed
    give the same intervals.
    """
    for group, scores in evaluation.scores.groupby("group", sort=False):
        values = scores.pivot(index="picture", columns="row", values=evaluation.metrics)
        values = values.dropna(axis="columns")
        scenes = scores.drop_duplicates("picture").set_index("picture").scene[values.index]
        columns = {(row, "", metric): values[metric, row] for metric, row in values}
        columns |= {
            (last, row, metric): values[metric, last] - values[metric, row]
            for metric, row in values
            if row != last and (metric, last) in values
        }
        if not columns:
            continue
        table = np.stack([*columns.values()], axis=1)
        low, high = bootstrap_intervals(table, scenes, seed)
        found = zip(columns, table.mean(0), low, high, strict=True)
        for (row, over, metric), mean, lowest, highest in found:
            ends = float(mean), float(lowest), float(highest)
            yield Interval(group, row, over, metric, *ends, len(values), scenes.nunique())


def bootstrap_intervals(
    values: NDArray[np.float64], clusters: Sequence[str], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the 95 % interval of each column's mean, by drawing whole clusters with replacement.

    All columns see the same draws. One cluster alone says nothing of others: both ends are NaN.

    Args:
        values: finite, shape (pictures, columns).
        clusters: the name of each picture's cluster.
        seed: of the draws.
    """
    member, names = pd.factorize(np.asarray(clusters))
    count = len(names)
    if count < 2:
        return (unknown := np.full(values.shape[1], np.nan)), unknown
    sums = np.stack([np.bincount(member, column) for column in values.T], axis=1)  # (clusters, columns)
    sizes = np.bincount(member)
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // count)
    means = np.empty((RESAMPLES, values.shape[1]))
    for start in range(0, RESAMPLES, at_once):
        part = means[start : start + at_once]  # a view
        drawn = generator.integers(count, size=(len(part), count))
        places = drawn + np.arange(len(part))[:, None] * count
        weights = np.bincount(places.ravel(), minlength=len(part) * count).astype(np.float64)
        weights = weights.reshape(len(part), count)
        part[:] = (weights @ sums) / (weights @ sizes)[:, None]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def bootstrap_interval(
    values: NDArray[np.float64], clusters: Sequence[str], seed: int
) -> tuple[float, float]:
    """The same of one column, shape (pictures,)."""
    (low,), (high,) = bootstrap_intervals(values[:, None], clusters, seed)
    return float(low), float(high)
