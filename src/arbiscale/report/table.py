"""The tables: every mean with its interval, the best of every column, and the gain over bicubic."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arbiscale.evaluation.intervals import Interval, bootstrap_interval
from arbiscale.evaluation.scores import Evaluation, Means
from arbiscale.report.measures import Measure, label_of, measures, signed

BASELINE = "bicubic"
_GAINED = (("psnr", 2), ("ssim", 3), ("lpips", 3))  # metrics whose gain is told, and its decimals


@dataclass(frozen=True)
class Group:
    """A group's name, taken apart: `benchmark/set5/x4` is x4 of benchmark/set5, `x4` of `sample`."""

    name: str
    place: str
    scale: float | None  # None = not one of scales

    @property
    def label(self) -> str:
        """What stands for the group beside others of its place."""
        return self.name.rpartition("/")[2] if self.scale is None else f"×{self.scale:g}"

    @property
    def full_label(self) -> str:
        """What stands for the group by itself."""
        return self.label if self.place == "sample" else f"{self.place} {self.label}"

    @property
    def heading(self) -> str:
        """What stands above the group's pictures."""
        return self.full_label if self.scale else label_of(self.name)


def group_of(name: str) -> Group:
    """A group by its name."""
    place, _, last = name.rpartition("/")
    scale = re.fullmatch(r"x(\d+(?:\.\d+)?)", last)
    return Group(name, place or ("sample" if scale else last), float(scale[1]) if scale else None)


def places(names: Iterable[str]) -> dict[str, list[Group]]:
    """Groups by the place that they belong to."""
    found: dict[str, list[Group]] = {}
    for group in map(group_of, names):
        found.setdefault(group.place, []).append(group)
    return found


@dataclass(frozen=True)
class Cell:
    """A mean as it is shown."""

    text: str
    interval: str  # empty = none
    value: float | None  # what rows are sorted by
    best: bool


@dataclass(frozen=True)
class Line:
    """A row of the table, of one group."""

    row: str
    label: str
    cells: list[Cell]


@dataclass(frozen=True)
class Body:
    """A group's rows."""

    label: str
    pictures: int
    photographs: int
    lines: list[Line]


@dataclass(frozen=True)
class Table:
    """A protocol's table: the groups of one place."""

    place: str
    columns: list[Measure]
    bodies: list[Body]


def tables(evaluation: Evaluation, means: Means, found: Sequence[Interval]) -> list[Table]:
    """One table a place, in the order of the evaluation."""
    counted = _counts(evaluation)
    by_cell = {(each.group, each.row, each.metric): each for each in found}
    made = []
    for place, groups in places(means).items():
        rows = [metrics for group in groups for metrics in means[group.name].values()]
        columns = measures(name for metrics in rows for name in metrics)
        bodies = [
            Body(group.label, *counted[group.name], _lines(group.name, means[group.name], columns, by_cell))
            for group in groups
        ]
        made.append(Table(place, columns, bodies))
    return made


def _lines(
    group: str,
    rows: Mapping[str, Mapping[str, float | None]],
    columns: Sequence[Measure],
    intervals: Mapping[tuple[str, str, str], Interval],
) -> list[Line]:
    best = {
        measure.name: measure.best({row: metrics.get(measure.name) for row, metrics in rows.items()})
        for measure in columns
    }
    lines = []
    for row, metrics in rows.items():
        cells = []
        for measure in columns:
            value = metrics.get(measure.name)
            interval = intervals.get((group, row, measure.name))
            bounds = f"{measure.text(interval.low)} to {measure.text(interval.high)}" if interval else ""
            cells.append(Cell(measure.text(value), bounds, value, row in best[measure.name]))
        lines.append(Line(row, label_of(row), cells))
    return lines


def _counts(evaluation: Evaluation) -> dict[str, tuple[int, int]]:
    """Pictures and photographs of every group: the most that any row has."""
    found: dict[str, tuple[int, int]] = {}
    for group, _, scores in evaluation.rows():
        here = len(scores), len({score.photograph for score in scores})
        found[group] = max(found.get(group, (0, 0)), here)
    return found


@dataclass(frozen=True)
class Gain:
    """What a row gains over bicubic in a group, picture by picture."""

    label: str
    cells: list[tuple[str, str]]  # mean and interval as they are shown, by metric; dashes where none


def gains(evaluation: Evaluation, row: str, seed: int) -> tuple[list[Measure], list[Gain]]:
    """Mean differences to bicubic on the same pictures, and their 95 % intervals.

    Pictures differ more among each other than rows do on one picture, so these intervals are narrow.

    Returns:
        The metrics, and a line for every group that has both rows.
    """
    rows = {(group, name): scores for group, name, scores in evaluation.rows()}
    shown = measures(name for name, _ in _GAINED if any(name in score.metrics for score in evaluation.scores))
    decimals = dict(_GAINED)
    lines = []
    for group in dict.fromkeys(group for group, _ in rows):
        ours, theirs = rows.get((group, row)), rows.get((group, BASELINE))
        if not ours or not theirs or len(ours) != len(theirs):
            continue
        names = [score.photograph for score in ours]
        cells = []
        for measure in shown:
            differences = np.array(
                [
                    mine.metrics.get(measure.name, math.nan) - other.metrics.get(measure.name, math.nan)
                    for mine, other in zip(ours, theirs, strict=True)
                ]
            )
            if not np.isfinite(differences).all():
                cells.append(("–", ""))
                continue
            low, high = bootstrap_interval(differences, names, seed)
            places_shown = decimals[measure.name]
            mean = signed(float(differences.mean()), places_shown)
            cells.append((mean, f"{signed(low, places_shown)} to {signed(high, places_shown)}"))
        lines.append(Gain(group_of(group).full_label, cells))
    return shown, lines
