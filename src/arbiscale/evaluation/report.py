"""An evaluation as files: tables for people, for `dvc metrics` and for `dvc plots`."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from arbiscale.evaluation.scores import Evaluation, Means
from arbiscale.files import atomic_file

PLOTTED = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy", "fps")


def write_plots(folder: Path, means: Means) -> None:
    """Write `METRIC.csv`, a line for every scale and a column for every row of the table, for `dvc plots`.

    A group without a scale (generation) gives `GROUP.csv` instead: a line a row, a column a metric.
    """
    scaled = {group: rows for group, rows in means.items() if group.startswith("x")}
    names = list(dict.fromkeys(row for rows in scaled.values() for row in rows))
    for metric in PLOTTED if scaled else ():
        lines = [
            [group.removeprefix("x"), *(_cell(rows.get(row, {}).get(metric)) for row in names)]
            for group, rows in scaled.items()
        ]
        _write_csv(folder / f"{metric}.csv", ["scale", *names], lines)
    for group in means.keys() - scaled.keys():
        lines = [
            [row, *(_cell(metrics.get(metric)) for metric in PLOTTED)]
            for row, metrics in means[group].items()
        ]
        _write_csv(folder / f"{group}.csv", ["row", *PLOTTED], lines)


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """Write every picture's metrics as CSV."""
    metrics = list(dict.fromkeys(name for score in evaluation.scores for name in score.metrics))
    lines = [
        [score.group, score.row, score.photograph, *(_cell(score.metrics.get(name)) for name in metrics)]
        for score in evaluation.scores
    ]
    _write_csv(path, ["group", "row", "photograph", *metrics], lines)


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
    lines = [f"{'':26}" + "".join(f"{name:>13}" for name in shown)]
    for group, rows in means.items():
        for row, metrics in rows.items():
            cells = (
                f"{value:13.3f}" if (value := metrics.get(name)) is not None else f"{'-':>13}"
                for name in shown
            )
            lines.append(f"{group + ' ' + row:26}" + "".join(cells))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    """A number of a CSV file; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
