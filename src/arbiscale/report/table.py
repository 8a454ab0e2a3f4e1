"""The tables: every mean with its interval, the best of every column, differences to the last model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from arbiscale.evaluation.intervals import Interval
from arbiscale.evaluation.scores import Evaluation, Means
from arbiscale.report.measures import Measure, interval_text, label_of, measures, signed

_COMPARED = {"psnr": 2, "ssim": 3, "lpips": 3, "dists": 3}  # metrics whose difference is shown, its decimals


@dataclass(frozen=True)
class Group:
    """A group's name and its parts: `benchmark/set5/x4` is x4 of benchmark/set5, `x4` of `sample`."""

    name: str
    place: str
    scale: float | None  # None = not one of scales

    @property
    def label(self) -> str:
        """The group's name beside others of its place."""
        return self.name.rpartition("/")[2] if self.scale is None else f"×{self.scale:g}"

    @property
    def full_label(self) -> str:
        """The group's name by itself."""
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


class Cell(NamedTuple):
    """A mean as it is shown; rows are sorted by `value`; an empty `interval` is none."""

    text: str
    interval: str
    value: float | None
    best: bool


class Line(NamedTuple):
    """A row of the table, of one group."""

    row: str
    label: str
    cells: list[Cell]


class Body(NamedTuple):
    """A group's rows, and the most pictures and scenes that any of them has."""

    label: str
    pictures: int
    scenes: int
    lines: list[Line]


class Table(NamedTuple):
    """A protocol's table: the groups of one place."""

    place: str
    columns: list[Measure]
    bodies: list[Body]


def tables(evaluation: Evaluation, means: Means, found: Sequence[Interval]) -> list[Table]:
    """One table a place, in the order of the evaluation."""
    intervals = {(each.group, each.row, each.metric): each for each in found if not each.over}
    counts: dict[str, tuple[int, int]] = {}
    for name, _, scores in evaluation.rows():
        count = len(scores), scores.scene.nunique()
        counts[name] = max(counts.get(name, (0, 0)), count)
    made = []
    for place, groups in places(means).items():
        rows = [metrics for group in groups for metrics in means[group.name].values()]
        columns = measures(name for metrics in rows for name in metrics)
        bodies = [
            Body(group.label, *counts[group.name], _lines(group.name, means[group.name], columns, intervals))
            for group in groups
        ]
        made.append(Table(place, columns, bodies))
    return made


def _lines(
    group: str,
    rows: Mapping[str, Mapping[str, float]],
    columns: Sequence[Measure],
    intervals: Mapping[tuple[str, str, str], Interval],
) -> list[Line]:
    lines = [Line(row, label_of(row), []) for row in rows]
    for measure in columns:
        values = {row: metrics.get(measure.name) for row, metrics in rows.items()}
        best = measure.best(values)
        for line in lines:
            value, interval = values[line.row], intervals.get((group, line.row, measure.name))
            bounds = interval_text(interval.low, interval.high, measure.text) if interval else ""
            line.cells.append(Cell(measure.text(value), bounds, value, line.row in best))
    return lines


class Difference(NamedTuple):
    """What the last model gains over another row in a group: mean and interval as shown, by metric."""

    label: str
    over: str
    cells: list[tuple[str, str]]  # dashes where a value is missing


def differences(found: Sequence[Interval]) -> tuple[list[Measure], list[Difference]]:
    """Mean differences between the last model and every other row, picture by picture.

    Pictures differ more among each other than rows do on one picture, so these intervals are narrow.

    Returns:
        The metrics, and a line for every group and other row.
    """
    known = {(each.group, each.over, each.metric): each for each in found if each.over}
    shown = measures({metric for _, _, metric in known if metric in _COMPARED})
    lines = []
    for group, over in dict.fromkeys((group, over) for group, over, _ in known):
        cells = []
        for measure in shown:
            each, decimals = known.get((group, over, measure.name)), _COMPARED[measure.name]
            shown_as = partial(signed, decimals=decimals)
            cells.append(
                (shown_as(each.mean), interval_text(each.low, each.high, shown_as)) if each else ("–", "")
            )
        lines.append(Difference(group_of(group).full_label, label_of(over), cells))
    return shown, lines
