"""All files of a report: the page, sheets of pictures, and tables for people and for `dvc plots`."""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.intervals import Interval, intervals
from arbiscale.evaluation.scores import Evaluation, Means, OperatingPoint
from arbiscale.files import atomic_file, atomic_folder, write_json
from arbiscale.imaging.writing import write_image
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts
from arbiscale.report.sheets import draw_contact_sheet

ALWAYS = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy", "fps")  # dvc.yaml plots some
_POINT = ("row", "scale", "steps", "eta", "temperature", "fidelity", "psnr", "lpips")


def write_report(
    reports: Path,
    plots: Path,
    evaluation: Evaluation,
    facts: Facts,
    last: str,
    costs: Mapping[str, float],
) -> dict[str, NDArray[np.uint8]]:
    """Replace both folders: the page, all figures as JSON and CSV, and a sheet of pictures for every group.

    Args:
        reports: gains evaluate.html, evaluate.json, scores.csv, intervals.csv and sheets/.
        plots: gains what `dvc plots` reads.
        evaluation: what was found.
        facts: where it came from.
        last: the row that stands out, of the last model.
        costs: of the whole evaluation, beside the means in evaluate.json.

    Returns:
        The sheets, uint8 (height, width, 3), by group.
    """
    means, found, sheets = evaluation.means(), [*intervals(evaluation, facts.seed)], {}
    points = points_of(evaluation)
    with atomic_folder(plots) as folder:
        write_plots(folder, means)
        write_trade_off(folder / "trade_off.csv", points)
    with atomic_folder(reports) as folder:
        write_json(folder / "evaluate.json", means | dict(costs) | ({"trade_off": points} if points else {}))
        write_scores(folder / "scores.csv", evaluation)
        write_intervals(folder / "intervals.csv", found)
        for group, comparisons in evaluation.comparisons.items():
            names = [each.title for each in comparisons if each.title in facts.credits]
            credits = [f"{name}: {facts.credits[name]}" for name in names]
            sheets[group] = draw_contact_sheet(group, comparisons, credits)
            write_image(folder / "sheets" / f"{group}.png", sheets[group])
        write_page(folder / "evaluate.html", evaluation, found, facts, last)
    return sheets


def print_warnings(problems: Iterable[str]) -> None:
    """Say on stderr what is missing from the table."""
    for problem in problems:
        print(f"WARNING: {problem}", file=sys.stderr)


def write_plots(folder: Path, means: Means) -> None:
    """Write `METRIC.csv`, a line for every scale and a column for every row of the table, for `dvc plots`.

    `table.csv` holds them all: a line for every group and row, a column a metric.
    Groups of a protocol, such as `benchmark/set5/x2`, are written below `benchmark/set5`. Groups by size,
    such as `generation/128x128`, have a line for every size. A group with neither (generation's `sample`)
    gives `GROUP.csv` instead: a line a row, a column a metric. Without any group by scale alone, `METRIC.csv`
    are empty.
    """
    tables: dict[tuple[str, str], Means] = {("", "scale"): {}}  # dvc.yaml plots it: it is always there
    metrics = _columns(means)
    every = [
        [f"{group} {row}", *(_cell(found.get(metric)) for metric in metrics)]
        for group, rows in means.items()
        for row, found in rows.items()
    ]
    _write_csv(folder / "table.csv", ["row", *metrics], every)
    for group, rows in means.items():
        place, _, last = group.rpartition("/")
        height, by, width = last.partition("x")
        if by and width:
            axis, value = ("size", last) if height else ("scale", width)
            tables.setdefault((place, axis), {})[value] = rows
        else:
            metrics = _columns({group: rows})
            lines = [[row, *(_cell(found.get(metric)) for metric in metrics)] for row, found in rows.items()]
            _write_csv(folder / f"{group}.csv", ["row", *metrics], lines)
    for (place, axis), groups in tables.items():
        names = list(dict.fromkeys(row for rows in groups.values() for row in rows))
        for metric in _columns(groups):
            lines = [
                [value, *(_cell(rows.get(row, {}).get(metric)) for row in names)]
                for value, rows in groups.items()
            ]
            _write_csv(folder / place / f"{metric}.csv", [axis, *names], lines)


def write_trade_off(path: Path, points: Sequence[Mapping[str, str | float | None]]) -> None:
    """Write the points of the trade-off curves, as `points_of` gives them, as CSV."""
    lines = [
        [value if isinstance(value := each[name], str) else _cell(value) for name in _POINT]
        for each in points
    ]
    _write_csv(path, _POINT, lines)


def points_of(evaluation: Evaluation) -> list[dict[str, str | float | None]]:
    """The points of the trade-off curves as values by name; None where a row has no such setting."""
    return [
        {name: (vars(each) | vars(each.setting)).get(name) for name in _POINT}
        for each in evaluation.trade_off
    ]


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """Write every picture's metrics as CSV."""
    metrics = list(dict.fromkeys(name for score in evaluation.scores for name in score.metrics))
    lines = [
        [score.group, score.row, score.photograph, *(_cell(score.metrics.get(name)) for name in metrics)]
        for score in evaluation.scores
    ]
    _write_csv(path, ["group", "row", "photograph", *metrics], lines)


def write_intervals(path: Path, found: Iterable[Interval]) -> None:
    """Write every mean with its 95 % interval and sample size as CSV."""
    header = [field.name for field in dataclasses.fields(Interval)]
    lines = [
        [_cell(value) if isinstance(value, float) else str(value) for value in dataclasses.astuple(each)]
        for each in found
    ]
    _write_csv(path, header, lines)


def flat_metrics(means: Means) -> dict[str, float]:
    """Means as `x4/align_samples/psnr`, those without a value left out."""
    return {
        f"{group}/{row}/{name}": value
        for group, rows in means.items()
        for row, metrics in rows.items()
        for name, value in metrics.items()
        if value is not None
    }


def flat_trade_off(points: Iterable[OperatingPoint]) -> dict[str, float]:
    """Points of the trade-off curves as `trade_off/x4/align_samples/steps4_eta0/psnr`."""
    found: dict[str, float] = {}
    for each in points:
        setting = "_".join(f"{name}{value:g}" for name, value in each.setting.values.items())
        name = "/".join(filter(None, ("trade_off", f"x{each.scale:g}", each.row, setting)))
        found |= {f"{name}/psnr": each.psnr, f"{name}/lpips": each.lpips}
    return found


def as_text(means: Means) -> str:
    """The table for a terminal."""
    shown = _columns(means)
    width = max([26, *(len(f"{group} {row}") for group, rows in means.items() for row in rows)])
    wide = {name: max(13, len(name) + 2) for name in shown}
    lines = [f"{'':{width}}" + "".join(f"{name:>{wide[name]}}" for name in shown)]
    for group, rows in means.items():
        for row, metrics in rows.items():
            cells = (
                f"{_rounded(value) if (value := metrics.get(name)) is not None else '-':>{wide[name]}}"
                for name in shown
            )
            lines.append(f"{group + ' ' + row:{width}}" + "".join(cells))
    return "\n".join(lines)


def _columns(means: Means) -> list[str]:
    """The metrics of some groups: those of every table, then what these have besides, speed last."""
    found = dict.fromkeys(name for rows in means.values() for metrics in rows.values() for name in metrics)
    *first, last = ALWAYS
    return [*first, *(name for name in found if name not in ALWAYS), last]


def _rounded(value: float) -> str:
    """Three decimals, or of small numbers three digits."""
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _cell(value: float | None) -> str:
    """A number of a CSV file; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
