"""All files of a report: the page, sheets of pictures, and tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.picture_files import write_image
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts
from arbiscale.report.sheets import draw_contact_sheet
from arbiscale.report.tables import write_intervals, write_scores


def write_report(
    folder: Path, evaluation: Evaluation, facts: Facts, last: str
) -> dict[str, NDArray[np.uint8]]:
    """Write evaluate.html, scores.csv, intervals.csv and a sheet of pictures for every group.

    Args:
        folder: gains the files.
        evaluation: what was found.
        facts: where it came from.
        last: the row that stands out, of the last model.

    Returns:
        The sheets, uint8 (height, width, 3), by group.
    """
    found = [*intervals(evaluation, facts.seed)]
    write_scores(folder / "scores.csv", evaluation)
    write_intervals(folder / "intervals.csv", found)
    sheets = {}
    for group, comparisons in evaluation.comparisons.items():
        names = [each.title for each in comparisons if each.title in facts.credits]
        sheets[group] = draw_contact_sheet(
            group, comparisons, [f"{name}: {facts.credits[name]}" for name in names]
        )
        write_image(folder / "sheets" / f"{group}.png", sheets[group])
    write_page(folder / "evaluate.html", evaluation, found, facts, last)
    return sheets


def print_warnings(problems: Iterable[str]) -> None:
    """Say on stderr what is missing from the table."""
    for problem in problems:
        print(f"WARNING: {problem}", file=sys.stderr)
