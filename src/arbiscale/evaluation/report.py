"""An evaluation as files: tables for people, for `dvc metrics` and for `dvc plots`."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from arbiscale.evaluation.intervals import Interval
from arbiscale.evaluation.scores import Evaluation, Means
from arbiscale.files import atomic_file

PLOTTED = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy", "fps")


def write_plots(folder: Path, means: Means) -> None:
    """Write `METRIC.csv`, a line for every scale and a column for every row of the table, for `dvc plots`.

    Groups of a protocol, such as `benchmark/set5/x2`, are written below `benchmark/set5`. A group without a
    scale (generation) gives `GROUP.csv` instead: a line a row, a column a metric.
    """
    tables: dict[str, Means] = {}
    for group, rows in means.items():
        place, _, last = group.rpartition("/")
        if last.startswith("x"):
            tables.setdefault(place, {})[last.removeprefix("x")] = rows
        else:
            lines = [[row, *(_cell(found.get(metric)) for metric in PLOTTED)] for row, found in rows.items()]
            _write_csv(folder / f"{group}.csv", ["row", *PLOTTED], lines)
    for place, scales in tables.items():
        names = list(dict.fromkeys(row for rows in scales.values() for row in rows))
        for metric in PLOTTED:
            lines = [
                [scale, *(_cell(rows.get(row, {}).get(metric)) for row in names)]
                for scale, rows in scales.items()
            ]
            _write_csv(folder / place / f"{metric}.csv", ["scale", *names], lines)


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


def as_text(means: Means) -> str:
    """The table for a terminal."""
    shown = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy", "fps")
    width = max([26, *(len(f"{group} {row}") for group, rows in means.items() for row in rows)])
    lines = [f"{'':{width}}" + "".join(f"{name:>13}" for name in shown)]
    for group, rows in means.items():
        for row, metrics in rows.items():
            cells = (
                f"{value:13.3f}" if (value := metrics.get(name)) is not None else f"{'-':>13}"
                for name in shown
            )
            lines.append(f"{group + ' ' + row:{width}}" + "".join(cells))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    """A number of a CSV file; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
