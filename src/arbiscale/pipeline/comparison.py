"""What was measured of a version or by a run, and of what: scores, and the evaluation's identity."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from arbiscale.evaluation.paired import FILES, read_scores
from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version

FINISHED = "align_samples"  # the row of a pipeline's finished model
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
    """What a run of `evaluate` measured of a row; None where it is not there, or damaged."""
    run = store.find(run_id)
    if run is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = store.download_artifact(run_id, FILES, Path(folder))
        try:
            scores = read_scores(file) if file else None
        except (ValueError, KeyError):  # half written
            return None
    if scores is None or row not in {*scores["row"]}:
        return None
    return Evaluated(scores, row, identity(run.data.params, run.data.tags.get("data_hash", "")))


def identity(parameters: Mapping[str, str], data_hash: str) -> dict[str, str]:
    """What an evaluation was of and how, as `Evaluated` has it."""
    degraded = "realistic" in parameters.get("evaluate.protocols", "")
    return {
        key: value
        for key, value in parameters.items()
        if decides(key) and (degraded or not key.startswith(_DEGRADATION))
    } | {"data": data_hash}


def decides(key: str) -> bool:
    """Whether a parameter decides what is measured, beside how each model draws."""
    section, _, name = key.partition(".")
    if section == "evaluate":
        return name.partition(".")[0] not in _HOW_MODELS_DRAW
    return key == "seed" or key.startswith(_DEGRADATION)
