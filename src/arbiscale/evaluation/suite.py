"""Running an evaluation: measuring what is missing, then reading the table as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbiscale.errors import UserError
from arbiscale.evaluation import trade_off
from arbiscale.evaluation.comparisons import Album, Comparison, extremes
from arbiscale.evaluation.plan import Plan, Subject, make_plan
from arbiscale.evaluation.scores import SETTINGS, Evaluation
from arbiscale.evaluation.sets import compare_sets
from arbiscale.evaluation.store import Scratch, Work, measure
from arbiscale.evaluation.super_resolution import BASELINE, SuperResolution
from arbiscale.evaluation.trade_off import operating_points


def evaluate_models(subject: Subject, scratch: Scratch) -> Evaluation:
    """Evaluate in one process: measure what is missing, and read the whole.

    Raises:
        UserError: as `finish`.
    """
    plan = make_plan(subject, scratch)
    measure(plan.works, scratch)
    return finish(plan, scratch)


def finish(plan: Plan, scratch: Scratch) -> Evaluation:
    """Everything that was measured.

    Raises:
        UserError: no protocol could be followed, or no picture be measured.
    """
    lines = scratch.read(plan.works)
    of_curves = lines.place == trade_off.PLACE
    evaluation = Evaluation(
        lines[~of_curves].drop(columns=[*SETTINGS]).reset_index(drop=True), left_out=plan.left_out
    )
    if lines.row.isna().all():
        raise UserError("; ".join(evaluation.problems()))
    evaluation.least_px |= plan.networks.least_px
    evaluation.trade_off, without = operating_points(lines[of_curves])
    evaluation.left_out += without
    if plan.references:
        evaluation.sets = compare_sets(plan.sets, plan.references, plan.seed)
    for work in plan.works:
        for group in work.albums:
            if plan.patches and isinstance(work, SuperResolution):
                rows = evaluation.scores[evaluation.scores.group == group].row.dropna().unique()
                found, lines = plan.patches.compare(group, rows, work.names)
                evaluation.sets |= found
                evaluation.left_out += lines
            _show(evaluation, work, group, scratch.album)
    return evaluation


def _show(evaluation: Evaluation, work: Work, group: str, album: Album) -> None:
    """Add a group's pictures to look at, with their metrics."""
    scores = evaluation.scores[evaluation.scores.group == group]

    def comparison(name: str, pictures: dict[str, NDArray[np.uint8]]) -> Comparison:
        own = scores[scores.picture == name]
        title = name if own.empty else own.photograph.iloc[0]
        metrics = own.set_index("row")[evaluation.metrics].to_dict("index")
        return Comparison(title, pictures, {row: metrics[row] for row in pictures if row in metrics})

    kept = {name: album.find(group, name) for name in work.shown}
    evaluation.comparisons[group] = [comparison(*each) for each in kept.items() if each[1]]
    if isinstance(work, SuperResolution):
        for found, names in zip(
            (evaluation.best, evaluation.worst), extremes(scores, work.last, BASELINE), strict=True
        ):
            found[group] = [comparison(name, work.improvement(group, name)) for name in names]
