"""The table of an evaluation: one score a picture, means a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Means = dict[str, dict[str, dict[str, float | None]]]


@dataclass(frozen=True)
class Score:
    """The metrics of one picture; NaN where one is not defined."""

    group: str  # the scale, such as `x2.7`, or `generation`
    row: str  # who drew it
    photograph: str
    metrics: dict[str, float]
    finite: bool  # whether the picture holds numbers only


@dataclass(frozen=True)
class Comparison:
    """Pictures of one thing, uint8 (height, width, 3), by their label."""

    title: str
    pictures: dict[str, NDArray[np.uint8]]
    metrics: dict[str, dict[str, float]]  # of the pictures that have some


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: one for every row, scale and picture.
        speeds: frames a second, by group and row.
        comparisons: pictures to look at, by group.
    """

    scores: list[Score] = field(default_factory=list)
    speeds: dict[tuple[str, str], float] = field(default_factory=dict)
    comparisons: dict[str, list[Comparison]] = field(default_factory=dict)

    def add(
        self,
        group: str,
        row: str,
        photographs: Sequence[str],
        images: Tensor,
        metrics: Mapping[str, Sequence[float]],
    ) -> None:
        """Add one row's images (batch, ...) of one group, with metrics as lists over the batch."""
        finite = images.isfinite().flatten(1).all(dim=1).tolist()
        for index, photograph in enumerate(photographs):
            values = {name: values[index] for name, values in metrics.items()}
            self.scores.append(Score(group, row, photograph, values, finite[index]))

    def means(self) -> Means:
        """Means over pictures as group -> row -> metric; None where a picture has no value."""
        table: Means = {}
        for group, row, scores in self._rows():
            metrics: dict[str, float | None] = {}
            for name in scores[0].metrics:
                mean = sum(score.metrics[name] for score in scores) / len(scores)
                metrics[name] = mean if math.isfinite(mean) else None
            if (group, row) in self.speeds:
                metrics["fps"] = self.speeds[group, row]
            table.setdefault(group, {})[row] = metrics
        return table

    def problems(self) -> list[str]:
        """One line for every row with pictures that are not finite (so their means are missing)."""
        lines = []
        for group, row, scores in self._rows():
            broken = sum(not score.finite for score in scores)
            if broken:
                lines.append(f"{group}/{row}: {broken} of {len(scores)} pictures hold NaN or infinity")
        return lines

    def _rows(self) -> Iterator[tuple[str, str, list[Score]]]:
        rows: dict[tuple[str, str], list[Score]] = {}
        for score in self.scores:
            rows.setdefault((score.group, score.row), []).append(score)
        for (group, row), scores in rows.items():
            yield group, row, scores
