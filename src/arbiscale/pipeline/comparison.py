"""Scores of two versions of a model on the same evaluation: the recorded ones, or both evaluated anew."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from arbiscale.evaluation.paired import FILES, read_scores
from arbiscale.evaluation.peers import Peer, load_row
from arbiscale.evaluation.plan import Subject
from arbiscale.evaluation.store import Scratch
from arbiscale.evaluation.suite import evaluate_models
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.models.device import use_threads
from arbiscale.report.files import print_warnings
from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, download_model
from arbiscale.workspace import repository_root

_CROPS = Path("data/crops")
_DEGRADATION = "data.realistic."
_HOW_MODELS_DRAW = ("sampling", "temperature", "fidelity", "extra_models", "trade_off", "diversity_seeds")


@dataclass(frozen=True)
class Evaluated:
    """What a run of `evaluate` found of a version.

    Attributes:
        scores: the whole table; see `arbiscale.evaluation.paired`.
        row: the version's.
        identity: what the evaluation was of and how: data hash, seed, protocols, sizes.
    """

    scores: pd.DataFrame
    row: str
    identity: dict[str, str]

    def of(self, row: str) -> pd.DataFrame:
        """The lines of a row."""
        return self.scores[self.scores["row"] == row]


def recorded(store: Store, version: Version) -> Evaluated | None:
    """What was measured of a version; None where nothing is known, or of another model."""
    return read_evaluation(store, version.tags.get(EVALUATION_TAG, ""), version.tags.get(ROW_TAG, ""))


def read_evaluation(store: Store, run_id: str, row: str) -> Evaluated | None:
    """What a run of `evaluate` measured of a row; None where it is not there."""
    run = store.find(run_id)
    if run is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = store.download_artifact(run_id, FILES, Path(folder))
        scores = read_scores(file) if file else None
    if scores is None or row not in {*scores["row"]}:
        return None
    return Evaluated(scores, row, identity(run.data.params, run.data.tags.get("data_hash", "")))


def identity(parameters: Mapping[str, str], data_hash: str) -> dict[str, str]:
    """What an evaluation was of and how, as `Evaluated` has it."""
    degraded = "realistic" in parameters.get("evaluate.protocols", "")
    return {
        key: value
        for key, value in parameters.items()
        if _decides(key) and (degraded or not key.startswith(_DEGRADATION))
    } | {"data": data_hash}


def _decides(key: str) -> bool:
    """Whether a parameter decides what is measured, beside how each model draws."""
    section, _, name = key.partition(".")
    if section == "evaluate":
        return name.partition(".")[0] not in _HOW_MODELS_DRAW
    return key == "seed" or key.startswith(_DEGRADATION)


def scores_of(
    store: Store, before: Version | None, after: Version, against: str = BASELINE
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The lines of two versions in one evaluation, each drawn by its own settings.

    Args:
        store: of the registry.
        before: the champion; None = another row of the candidate's evaluation stands in for it.
        after: the candidate.
        against: that row.

    Returns:
        The lines of either, and in a line where they are from.

    Raises:
        UserError: they must be evaluated, and the data are not here.
    """
    new = recorded(store, after)
    if new is not None and before is None and not new.of(against).empty:
        return new.of(against), new.of(new.row), f"as evaluated by run {after.tags[EVALUATION_TAG]}"
    old = recorded(store, before) if before else None
    if new is not None and before is None:
        why = f"its evaluation has no row {against}"
    elif new is not None and old is not None:
        if old.identity == new.identity:
            return old.of(old.row), new.of(new.row), "as recorded, of one evaluation"
        keys = sorted(
            key
            for key in old.identity.keys() | new.identity
            if old.identity.get(key) != new.identity.get(key)
        )
        why = f"their evaluations differ in {', '.join(keys)}"
    else:
        missing = [each for each, known in ((before, old), (after, new)) if each and known is None]
        why = f"nothing is recorded of {', '.join(f'version {each.number}' for each in missing)}"
    scores = evaluate_versions(store, [each for each in (before, after) if each is not None], against)
    lines = {row: scores[scores["row"] == row] for row in (_row(before) if before else against, _row(after))}
    first, second = lines.values()
    if first.empty:
        raise UserError(
            f"{after.name}: there is no champion, and the evaluation has no row {against} "
            "(register.gate.against); evaluate.extra_models adds rows"
        )
    return first, second, f"evaluated anew: {why}"


def _row(version: Version) -> str:
    return f"{version.name}-{version.number}"


def evaluate_versions(store: Store, versions: Sequence[Version], row: str = BASELINE) -> pd.DataFrame:
    """Measure versions on the workspace's held-out photographs, as `evaluate` does; recorded as a run.

    Args:
        store: of the registry.
        versions: the last one's row is the evaluation's own.
        row: drawn beside them, where `evaluate.extra_models` names it; at the last version's fidelity.

    Raises:
        UserError: the data are not here, or a model cannot be loaded.
    """
    root = repository_root()
    params, crops = root / "params.yaml", root / _CROPS
    runtime = load_section(params, "runtime", RuntimeSettings)
    settings = load_section(params, "evaluate", EvaluateSettings)
    seed = int(look_up(read_yaml(params), "seed", params))
    degradation = Degradation(load_section(params, "data", DataSettings).realistic, seed)
    data = read_held_out_data(crops)
    use_threads(runtime.threads)
    models = {
        _row(version): load_model(download_model(store, version), runtime.device) for version in versions
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
    values = flatten(read_yaml(params))
    tags = {"data_hash": sha256_of_json({str(_CROPS): content_hash(crops)}), "compared": ", ".join(models)}
    with (
        tempfile.TemporaryDirectory() as folder,
        store.run("evaluate", tags=tags, params={key: values[key] for key in values if _decides(key)}) as run,
    ):
        file = Path(folder) / Path(FILES).name
        evaluation.scores.to_parquet(file, index=False)
        run.log_artifact(file, Path(FILES).parent.name)
        scores = read_scores(file)
    for version in versions:
        for tag, value in ((EVALUATION_TAG, run.id), (ROW_TAG, _row(version))):
            store.client.set_model_version_tag(version.name, str(version.number), tag, value)
    return scores
