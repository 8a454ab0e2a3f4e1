"""All files of a report: the page, sheets of pictures, and tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.scores import Evaluation
from arbiscale.files import atomic_folder, write_json
from arbiscale.imaging.picture_files import write_image
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts
from arbiscale.report.sheets import draw_contact_sheet
from arbiscale.report.tables import write_intervals, write_plots, write_scores


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
    with atomic_folder(plots) as folder:
        write_plots(folder, means)
    with atomic_folder(reports) as folder:
        write_json(folder / "evaluate.json", means | dict(costs))
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
