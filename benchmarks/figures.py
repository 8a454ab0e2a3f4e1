"""Measured figures: a table of them, and a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from arbiscale.files import write_json


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        benchmark: what was run.
        name: what was measured, with its unit.
        value: the median of the runs, where there were several.
        at_least: the bar it should reach, if there is one.
        at_most: the bar it should stay below, if there is one.
        low: the lower end of its 95 % interval, if it has one.
        high: the upper end.
    """

    benchmark: str
    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The value, and its interval where it has one, for people."""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


def as_table(figures: Sequence[Figure], title: str) -> Table:
    """A row a figure; what belongs to one benchmark stands together."""
    table = Table("benchmark", "figure", title=title, title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("bar", justify="right")
    table.add_column("")
    before = None
    for figure in figures:
        new = figure.benchmark != before
        if new and before is not None:
            table.add_section()
        bar = ""
        if figure.at_least is not None:
            bar = f"≥ {figure.at_least:.4g}"
        elif figure.at_most is not None:
            bar = f"≤ {figure.at_most:.4g}"
        verdict = {None: "", True: "[green]met", False: "[red]missed"}[figure.met]
        table.add_row(figure.benchmark if new else "", figure.name, escape(figure.text), bar, verdict)
        before = figure.benchmark
    return table


def write_figures(path: Path, figures: Sequence[Figure], machine: dict[str, str]) -> None:
    """The figures and where they were measured, as JSON."""
    rows = [asdict(figure) | {"met": figure.met} for figure in figures]
    write_json(path, {"machine": machine, "figures": rows})
