"""The frame of every stage script: parameters, run, resume state, and how it ends."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arbiscale.config.params import check_params
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import SectionType, load_section
from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import content_hash, write_json
from arbiscale.pipeline.curves import CurveRecorder
from arbiscale.pipeline.resume import StageInputs, resumable, stage_inputs
from arbiscale.pipeline.signals import Stopped, stop_signals
from arbiscale.tracking.environment import experiment_state, git_state, machine_state
from arbiscale.tracking.store import StageRun, Store, open_store

RUN_NOTE = "run.json"  # in the scratch folder: the run to continue


@dataclass(frozen=True)
class Stage:
    """What a stage's body gets."""

    name: str
    params_path: Path
    seed: int
    runtime: RuntimeSettings
    store: Store
    run: StageRun
    recorder: CurveRecorder  # where a training reports to
    scratch: Path  # survives a crash, for the next process with the same fingerprint
    fingerprint: str

    def settings(self, key: str, section: type[SectionType]) -> SectionType:
        """The section of the params file at a dotted key such as `align.timesteps`."""
        return load_section(self.params_path, key, section)

    def identify(self, folder: Path) -> None:
        """Tag the run with what it made: the hash of a model folder, as registered versions carry it."""
        self.run.set_tags({"model_sha256": content_hash(folder)})


def run_stage(name: str, body: Callable[[Stage], None], *, upstream: Sequence[str] = ()) -> None:
    """Execute a stage in the working directory and record it in runs/NAME.json and in MLflow.

    Ends the process with code 2 and one line for a UserError (also one that the store causes, before
    any work), with 128 + signal number on Ctrl-C or SIGTERM. What the scratch folder holds is kept in
    either case, and the same command continues the same run.

    Args:
        name: the stage's in dvc.yaml.
        body: the work.
        upstream: stages whose run ids, read from runs/*.json, become tags of this run.
    """
    try:
        with stop_signals() as signals:
            _execute(name, body, upstream, signals.check)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(f"{name}: {stopped}; the same command continues it", file=sys.stderr)
        sys.exit(128 + stopped.signum)


def _execute(
    name: str, body: Callable[[Stage], None], upstream: Sequence[str], check_signals: Callable[[], None]
) -> None:
    params_path = Path("params.yaml")
    params = check_params(params_path)  # all of it: a mistake in another stage's section is found now
    store = open_store(params.runtime.mlflow_uri)
    inputs = stage_inputs(name)
    left_out = _left_out(inputs.flat_parameters(), params.runtime.weights_dir)
    inputs = replace(inputs, left_out=left_out)
    upstream_ids = {stage: run_id for stage in upstream if (run_id := _recorded_run(stage))}
    git = git_state(Path.cwd())
    tags = _tags(name, inputs, upstream_ids) | git | {"device": params.runtime.device}
    begun = time.monotonic()
    with (
        resumable(name, inputs, git.get("git_commit")) as folder,
        store.run(
            name, tags=tags, params=inputs.flat_parameters(), resume_id=_read_run_id(folder / RUN_NOTE)
        ) as run,
    ):
        write_json(folder / RUN_NOTE, {"run_id": run.id})
        recorder = CurveRecorder(run, folder)
        try:
            body(
                Stage(
                    name,
                    params_path,
                    params.seed,
                    params.runtime,
                    store,
                    run,
                    recorder,
                    folder,
                    inputs.fingerprint,
                )
            )
        finally:
            check_signals()
        recorder.write(_record_path(name).with_suffix(".tsv"))
        record = {
            "stage": name,
            "run_id": run.id,
            "experiment_id": run.experiment_id,
            "experiment": tags.get("dvc_experiment"),
            "fingerprint": inputs.fingerprint,
            "upstream": upstream_ids,
            "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - begun, 1),
            "git_commit": git.get("git_commit"),
            "git_dirty": git.get("git_dirty") == "true",
        }
        write_json(_record_path(name), record)


def _left_out(parameters: Mapping[str, Any], weights_dir: str) -> tuple[str, ...]:
    """Terms that a tracked parameter gives a weight and whose network is not available: `lpips`, or none."""
    if not any(weight for key, weight in parameters.items() if key.endswith(".lpips_weight")):
        return ()
    from arbiscale.pretrained.files import ALEXNET, obtain

    try:
        obtain(ALEXNET, weights_dir)
    except UnavailableError:
        return ("lpips",)
    return ()


def _record_path(stage: str) -> Path:
    return Path("runs") / f"{stage}.json"


def _recorded_run(stage: str) -> str | None:
    """The run that made an upstream stage's outputs, as DVC brought its record back."""
    return _read_run_id(_record_path(stage))


def _read_run_id(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # tags and continuity only: nothing depends on it


def _tags(name: str, inputs: StageInputs, upstream_ids: dict[str, str]) -> dict[str, str]:
    tags = {"fingerprint": inputs.fingerprint, "mlflow.source.name": f"stages/{name}.py"}
    tags |= machine_state() | experiment_state()
    tags |= {f"upstream.{stage}": run_id for stage, run_id in upstream_ids.items()}
    if inputs.data_hash:
        tags["data_hash"] = inputs.data_hash
    tags |= {f"{key}.sha256": digest for key, digest in inputs.initial_weights.items()}
    return tags
