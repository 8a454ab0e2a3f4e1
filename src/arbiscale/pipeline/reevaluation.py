"""Scores of two versions of a model on the same evaluation: the recorded ones, or both evaluated anew."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from arbiscale.config.data import DataSettings
from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.named import by_name
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import flatten, load_section, look_up, read_yaml
from arbiscale.data.degradation import Degradation
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import read_held_out_data
from arbiscale.evaluation.networks import load_metric_networks
from arbiscale.evaluation.paired import FILES
from arbiscale.evaluation.peers import Peer, load_row
from arbiscale.evaluation.plan import Subject
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.store import Scratch
from arbiscale.evaluation.suite import evaluate_models
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.models.device import use_threads
from arbiscale.pipeline.card import renew_figures
from arbiscale.pipeline.comparison import FINISHED, Evaluated, decides, read_evaluation, recorded
from arbiscale.report.files import flat_metrics, print_warnings
from arbiscale.tracking.environment import command_state
from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, download_model
from arbiscale.workspace import repository_root

_CROPS = Path("data/crops")


def scores_of(
    store: Store,
    before: Version | None,
    after: Version,
    against: str = BASELINE,
    metrics: Collection[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The lines of two versions in one evaluation, each drawn by its own settings.

    Args:
        store: of the registry.
        before: the champion; None = another row of the candidate's evaluation stands in for it.
        after: the candidate.
        against: that row.
        metrics: that decide; one that was measured of either version alone has both evaluated anew.

    Returns:
        The lines of either, and in a line where they are from.

    Raises:
        UserError: they must be evaluated, and the data are not here.
    """
    new = recorded(store, after)
    old = recorded(store, before) if before else None
    if new is not None and before is None:
        if not new.of(against).empty:
            return new.of(against), new.of(new.row), f"as evaluated by run {after.tags[EVALUATION_TAG]}"
        why = f"its evaluation has no row {against}"
    elif new is not None and old is not None:
        keys = sorted(
            key
            for key in old.identity.keys() | new.identity
            if old.identity.get(key) != new.identity.get(key)
        )
        alone = sorted({*metrics} & (_measured(old) ^ _measured(new)))
        if not keys and not alone:
            return old.of(old.row), new.of(new.row), "as recorded, measured alike"
        why = f"their evaluations differ in {', '.join(keys)}"
        if not keys:
            why = f"{', '.join(alone)}: recorded of one of them alone"
    else:
        missing = [each for each, known in ((before, old), (after, new)) if each and known is None]
        why = f"nothing is recorded of {', '.join(f'version {each.number}' for each in missing)}"
    *others, new = evaluate_versions(store, [each for each in (before, after) if each is not None], against)
    first = others[0].of(others[0].row) if others else new.of(against)
    if first.empty:
        raise UserError(
            f"{after.name}: there is no champion, and the evaluation has no row {against} "
            "(register.gate.against); evaluate.extra_models adds rows"
        )
    return first, new.of(new.row), f"evaluated anew: {why}"


def _measured(found: Evaluated) -> set[str]:
    """The columns in which a version's lines have values."""
    return {*found.of(found.row).dropna(axis="columns", how="all")}


def evaluate_versions(store: Store, versions: Sequence[Version], row: str = BASELINE) -> list[Evaluated]:
    """Measure versions on the workspace's held-out photographs, as `evaluate` does; each is a run.

    Args:
        store: of the registry.
        versions: the last one's row is the evaluation's own.
        row: drawn beside them, where `evaluate.extra_models` names it; at the last version's fidelity.

    Returns:
        What was measured of each, in their order.

    Raises:
        UserError: the data are not here, or a model cannot be loaded.
    """
    params = repository_root() / "params.yaml"
    runtime = load_section(params, "runtime", RuntimeSettings)
    settings = load_section(params, "evaluate", EvaluateSettings)
    values = flatten(read_yaml(params))
    seed = int(look_up(read_yaml(params), "seed", params))
    degradation = Degradation(load_section(params, "data", DataSettings).realistic, seed)
    data = read_held_out_data(repository_root() / _CROPS, settings.split)
    use_threads(runtime.threads)
    models = {
        _called(version): load_model(download_model(store, version), runtime.device) for version in versions
    }
    *others, last = models
    networks = load_metric_networks(
        settings.perceptual, runtime.weights_dir, models[last].device, no_reference=settings.no_reference
    )
    print_warnings(networks.unavailable)
    without_curves = settings.trade_off.model_copy(update={"scales": []})
    extra: dict[str, Model | Peer] = {name: models[name] for name in others}
    if at := by_name(settings.extra_models).get(row):
        extra[row] = load_row(at, str(models[last].device), models[last].fidelity)
    without = settings.model_copy(update={"trade_off": without_curves})
    with tempfile.TemporaryDirectory() as scratch:
        subject = Subject({last: models[last]}, data, without, seed, networks, extra, degradation=degradation)
        evaluation = evaluate_models(subject, Scratch(Path(scratch)))
    parameters = {key: values[key] for key in values if decides(key)}
    named = {_called(version): version for version in versions}
    return [_record(store, version, evaluation, named, parameters, data.splits) for version in versions]


def _called(version: Version) -> str:
    return f"{version.name}-{version.number}"


def _record(
    store: Store,
    version: Version,
    evaluation: Evaluation,
    named: dict[str, Version],
    parameters: dict[str, Any],
    splits: dict[str, str],
) -> Evaluated:
    """One version's share of an evaluation, as a run of the pipeline records it; the version names it."""
    row = version.tags.get(ROW_TAG, FINISHED)
    others = (each for each in evaluation.scores["row"].dropna().unique() if each not in named)
    rows = {each: each for each in others} | {_called(version): row}
    scores = evaluation.scores[evaluation.scores["row"].isin(rows)].replace({"row": rows})
    means = {
        group: {rows[each]: found for each, found in of.items() if each in rows}
        for group, of in evaluation.means().items()
    }
    digest = content_hash(repository_root() / _CROPS)
    tags = command_state("promote") | {"data_hash": sha256_of_json({str(_CROPS): digest})} | splits
    title = f"evaluate · {version.name} {version.number}"
    with (
        tempfile.TemporaryDirectory() as folder,
        store.run("evaluate", tags=tags, params=parameters, name=title) as run,
    ):
        file = Path(folder) / Path(FILES).name
        scores.to_parquet(file, index=False)
        run.log_artifact(file, Path(FILES).parent.name)
        run.log_dataset(_CROPS.name, digest, str(_CROPS), "evaluation")
        run.log_metrics(flat_metrics(means))
        run.link_figures(run.id, row, version.model_id)
    for tag, value in ((EVALUATION_TAG, run.id), (ROW_TAG, row)):
        store.client.set_model_version_tag(version.name, str(version.number), tag, value)
    found = read_evaluation(store, run.id, row)
    if found is None:
        raise UserError(f"{version.uri}: what was measured is not in the store; `arbiscale runs sync`")
    renew_figures(store, version, run.id, found)
    return found
