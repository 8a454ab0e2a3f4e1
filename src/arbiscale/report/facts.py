"""Where an evaluation came from: the stages before it, their runs, curves and times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbiscale.config.section import flatten, read_yaml
from arbiscale.tracking.address import shown
from arbiscale.tracking.environment import accelerator
from arbiscale.tracking.recorded_run import read_run

if TYPE_CHECKING:
    import torch

    from arbiscale.tracking.store import Store

RUNS = Path("runs")
_CURVES = ("train/", "validation/")


@dataclass(frozen=True)
class StageRecord:
    """The contents of runs/STAGE.json; None where a value is missing."""

    stage: str
    run_id: str | None = None
    seconds: float | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None

    @property
    def commit(self) -> str:
        """The commit as it is shown, with a word where files had been changed after it."""
        return shown_commit(self.git_commit, self.git_dirty)


def read_records(folder: Path, stages: Iterable[str]) -> list[StageRecord]:
    """The records of stages; one that is missing or damaged has nothing but the stage's name."""
    records = []
    for stage in stages:
        try:
            found: dict[str, Any] = json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
            known = (
                str(found["run_id"]),
                float(found["seconds"]),
                found.get("git_commit"),
                found.get("git_dirty"),
            )
            records.append(StageRecord(stage, *known))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            records.append(StageRecord(stage))
    return records


def shown_commit(commit: str | None, dirty: bool | None) -> str:
    """A commit's first characters, and whether files had been changed after it."""
    if not commit:
        return "unknown"
    return f"{commit[:10]}, with uncommitted changes" if dirty else commit[:10]


@dataclass(frozen=True)
class Training:
    """A training stage's curves, (step, value) by name; `missing`: the reason if there are none."""

    stage: str
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    missing: str = ""


def read_training(record: StageRecord, store: Store) -> Training:
    """The curves of a stage's run, if the store still has it."""
    if record.run_id is None:
        return Training(record.stage, missing=f"runs/{record.stage}.json does not name a run.")
    run = read_run(store, record.run_id, curves=_CURVES)
    if run is None:
        return Training(record.stage, missing=f"The store has no run {record.run_id} any more.")
    return Training(record.stage, run.curves)


@dataclass(frozen=True)
class Facts:
    """The origin of a page's numbers.

    Attributes:
        run_id: of the evaluation itself.
        tags: of that run, as `arbiscale.pipeline.stage` sets them.
        seed: of crops and noise.
        written: when, as text.
        device: what pictures were drawn on.
        seconds: what the evaluation took until the page was written.
        upstream: the stages before it.
        trainings: those of them that train.
        parameters: the whole of params.yaml, by dotted key.
        credits: the photographers, by photograph.
    """

    run_id: str
    tags: Mapping[str, str]
    seed: int
    written: str
    device: str
    seconds: float
    upstream: Sequence[StageRecord]
    trainings: Sequence[Training]
    parameters: Mapping[str, Any]
    credits: Mapping[str, str]


def read_parameters(path: Path) -> dict[str, Any]:
    """All of params.yaml by dotted key, without the secrets that addresses may hold."""
    parameters = flatten(read_yaml(path))
    parameters.pop("runtime.webhook", None)
    return {key: _without_secrets(value) for key, value in parameters.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return shown(value) if isinstance(value, str) else value


def collect_facts(
    store: Store,
    run_id: str,
    trainings: Sequence[str],
    parameters: Mapping[str, Any],
    seed: int,
    device: torch.device,
    begun: float,
    credits: Mapping[str, str],
) -> Facts:
    """Where an evaluation came from, from the store and from the records in runs/.

    Args:
        store: holds the runs.
        run_id: of the evaluation.
        trainings: the stages that train, in their order.
        parameters: the whole of params.yaml, by dotted key.
        seed: of crops and noise.
        device: what pictures were drawn on.
        begun: when the evaluation began, by `time.monotonic`.
        credits: the photographers, by photograph.
    """
    own = read_run(store, run_id)
    upstream = read_records(RUNS, ("download", "crop", *trainings))
    return Facts(
        run_id=run_id,
        tags=own.tags if own else {},
        seed=seed,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        device=accelerator(str(device)) or str(device),
        seconds=time.monotonic() - begun,
        upstream=upstream,
        trainings=[read_training(record, store) for record in upstream if record.stage in trainings],
        parameters=parameters,
        credits=credits,
    )
