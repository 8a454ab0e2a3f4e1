"""All files of a report: the page, sheets of pictures, and tables for people and for `dvc plots`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from arbiscale.config.evaluate import ROWS
from arbiscale.evaluation.intervals import Interval, intervals
from arbiscale.evaluation.scores import Evaluation, Means, OperatingPoint
from arbiscale.files import atomic_folder, write_json
from arbiscale.imaging.writing import write_image
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts
from arbiscale.report.sheets import draw_contact_sheet

ALWAYS = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy", "fps")  # dvc.yaml plots some
ROWS_PLOTTED = tuple(
    row for row in ROWS if row != "lanczos"
)  # by dvc.yaml; no protocol of scales alone has that
_POINT = ("row", "scale", "steps", "eta", "temperature", "fidelity", "psnr", "lpips")
_DIGITS = "%.6g"


def write_report(
    reports: Path,
    plots: Path,
    evaluation: Evaluation,
    facts: Facts,
    last: str,
    costs: Mapping[str, float],
) -> dict[str, NDArray[np.uint8]]:
    """Replace both folders: the page, all figures as files, and a sheet of pictures for every group.

    Args:
        reports: gains evaluate.html, evaluate.json, scores.parquet, intervals.csv and sheets/.
        plots: gains what `dvc plots` reads.
        evaluation: what was found.
        facts: where it came from.
        last: the row that stands out, of the last model.
        costs: of the whole evaluation, beside the means in evaluate.json.

    Returns:
        The sheets, uint8 (height, width, 3), by group.
    """
    means, found, sheets = evaluation.means(), [*intervals(evaluation, last, facts.seed)], {}
    points = points_of(evaluation)
    with atomic_folder(plots) as folder:
        write_plots(folder, means)
        pd.DataFrame(points, columns=_POINT).to_csv(
            folder / "trade_off.csv", index=False, float_format=_DIGITS
        )
    with atomic_folder(reports) as folder:
        write_json(folder / "evaluate.json", means | dict(costs) | ({"trade_off": points} if points else {}))
        evaluation.scores.to_parquet(folder / "scores.parquet", index=False)
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
    such as `generation/128x128`, have a line for every size. A group with neither (`reconstruction`)
    gives `GROUP.csv` instead: a line a row, a column a metric. Without any group by scale alone, `METRIC.csv`
    are empty. There all rows that `dvc.yaml` plots have a column, so that it finds each.
    """
    _write(folder / "table.csv", {f"{group} {row}": of for group, row, of in _rows(means)}, _columns(means))
    tables: dict[tuple[str, str], Means] = {("", "scale"): {}}  # dvc.yaml plots it: it is always there
    for group, rows in means.items():
        place, _, last = group.rpartition("/")
        height, by, width = last.partition("x")
        if by and width:
            axis, value = ("size", last) if height else ("scale", width)
            tables.setdefault((place, axis), {})[value] = rows
        else:
            _write(folder / f"{group}.csv", rows, _columns({group: rows}))
    for (place, axis), groups in tables.items():
        plotted = () if place else ROWS_PLOTTED
        names = [*dict.fromkeys((*plotted, *(row for rows in groups.values() for row in rows)))]
        for metric in _columns(groups):
            lines = {
                value: {row: rows[row][metric] for row in rows if metric in rows[row]}
                for value, rows in groups.items()
            }
            _write(folder / place / f"{metric}.csv", lines, names, axis)


def points_of(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The points of the trade-off curves as values by name; None where a row has no such setting."""
    return [
        {name: (vars(each) | vars(each.setting)).get(name) for name in _POINT}
        for each in evaluation.trade_off
    ]


def write_intervals(path: Path, found: Iterable[Interval]) -> None:
    """Write every mean and difference with its 95 % interval and sample size as CSV."""
    pd.DataFrame(map(asdict, found)).to_csv(path, index=False, float_format=_DIGITS)


def flat_metrics(means: Means) -> dict[str, float]:
    """Means as `x4/align_samples/psnr`."""
    return {f"{group}/{row}/{name}": value for group, row, of in _rows(means) for name, value in of.items()}


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
    lines = {f"{group} {row}": of for group, row, of in _rows(means)}
    table = pd.DataFrame.from_dict(lines, orient="index").reindex(columns=_columns(means))
    return table.to_string(na_rep="-", float_format=_rounded)


def _rows(means: Means) -> list[tuple[str, str, dict[str, float]]]:
    return [(group, row, metrics) for group, rows in means.items() for row, metrics in rows.items()]


def _columns(means: Means) -> list[str]:
    """The metrics of some groups: those of every table, then what these have besides, speed last."""
    found = dict.fromkeys(name for _, _, metrics in _rows(means) for name in metrics)
    *first, last = ALWAYS
    return [*first, *(name for name in found if name not in ALWAYS), last]


def _rounded(value: float) -> str:
    """Three decimals, none of large numbers, or of small ones three digits."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _write(
    path: Path, lines: Mapping[str, Mapping[str, float]], columns: Sequence[str], index: str = "row"
) -> None:
    """Write lines by their names as CSV; empty where a line has no value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame.from_dict(lines, orient="index").reindex(columns=[*columns])
    table.to_csv(path, index_label=index, float_format=_DIGITS)
