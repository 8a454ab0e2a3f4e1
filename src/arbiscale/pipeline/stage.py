"""The frame of every stage script: parameters, run, resume state, and how it ends."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arbiscale.config.params import check_params
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import SectionType, load_section
from arbiscale.data.manifest import CARD, PAGE
from arbiscale.errors import StateMismatchError, UserError
from arbiscale.files import content_hash, sha256_of, write_json
from arbiscale.pipeline.crew import require_agreement
from arbiscale.pipeline.curves import write_curves
from arbiscale.pipeline.device_pool import device_from_pool
from arbiscale.pipeline.differences import changed_parameters, note, run_name
from arbiscale.pipeline.ending import ends_in_one_line
from arbiscale.pipeline.fingerprint import StageInputs, definitions, only_tracked, stage_inputs
from arbiscale.pipeline.resume import State, resumable, resumable_runs, state_folder
from arbiscale.tracking.address import refusal
from arbiscale.tracking.environment import (
    experiment_state,
    git_changes,
    git_state,
    machine_state,
    process_state,
)
from arbiscale.tracking.journal import Journal, remove_delivered
from arbiscale.tracking.registry import CARD_TAG
from arbiscale.tracking.stage_run import StageRun
from arbiscale.tracking.store import Store, open_store
from arbiscale.training.processes import process_count, process_rank

NETWORKS = "src/arbiscale/networks"  # a dependency of the stages that compute with them
MEASURES = "evaluate"  # the stage that tells of models and makes none
LONGEST_PATCH = 1_000_000  # characters of what is kept of uncommitted changes
MADE_WITH: tuple[str, ...] = ("git_commit", "code_sha256", "python", "torch")


@dataclass(frozen=True)
class Stage:
    """What a stage's body gets."""

    name: str
    params_path: Path
    runtime: RuntimeSettings  # how to run: no stage tracks it
    inputs: StageInputs
    store: Store
    run: StageRun
    scratch: Path  # survives a crash, for the next process with the same fingerprint
    tags: Mapping[str, str] = field(default_factory=dict)  # of the run, when it began
    notes: dict[str, str] = field(default_factory=dict)  # also stand in runs/NAME.json

    @property
    def seed(self) -> int:
        """Of everything random. A KeyError where the stage does not track it."""
        return int(self.inputs.parameters["seed"])

    @property
    def fingerprint(self) -> str:
        """The hash of all that decides the result, but the code."""
        return self.inputs.fingerprint

    @property
    def recorder(self) -> StageRun:
        """Takes what a training records."""
        return self.run

    def settings(self, key: str, section: type[SectionType]) -> SectionType:
        """The section of params.yaml at a dotted key, such as `align.timesteps`, as far as it is tracked."""
        return only_tracked(load_section(self.params_path, key, section), key, self.inputs.parameters)

    def remember(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured at the first attempt; a resumed stage goes on with the same numbers."""
        path = self.scratch / f"{name}.json"
        if process_rank(self.runtime):
            while not path.exists():  # the first process measures
                time.sleep(0.1)
        elif not path.exists():
            write_json(path, measure())
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def note_model(self, folder: Path) -> None:
        """Record the hash of the model that was made, by which versions and pictures name it."""
        self.notes["model_sha256"] = content_hash(folder)
        self.run.set_tags(self.notes)

    def identify(self, folder: Path) -> None:
        """Record the model that a training made, and its losses as runs/STAGE.tsv."""
        self.note_model(folder)
        write_curves(self.run.journal, Path("runs") / f"{self.name}.tsv")


def run_stage(name: str, body: Callable[[Stage], None], *, upstream: Sequence[str] = ()) -> None:
    """Execute a stage in the working directory and record it in runs/NAME.json and in MLflow.

    Ends the process with code 2 and one line for a UserError (also one that the store causes, before
    any work), with 128 + signal number on Ctrl-C or SIGTERM. What the scratch folder holds is kept in
    either case, and the same command continues the same run.

    Args:
        name: the stage's in dvc.yaml.
        body: the work.
        upstream: stages whose run ids, read from runs/*.json, become tags of this run; those that dvc.yaml
            does not have now are left out.
    """
    try:
        with ends_in_one_line(name) as signals:
            _execute(name, body, upstream, signals.check)
    except Exception as error:
        line = refusal(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _device(name: str, runtime: RuntimeSettings) -> AbstractContextManager[None]:
    """A device of the pool, for a stage that computes with networks in one process."""
    computes = NETWORKS in definitions()[name].get("deps", [])
    return device_from_pool(name) if computes and process_count(runtime) == 1 else nullcontext()


def _take_part(name: str, body: Callable[[Stage], None], runtime: RuntimeSettings) -> None:
    """Execute a stage's body in one of the further processes: it records nothing and writes no output.

    A training's `fit` ends the process where the first one goes on alone.
    """
    inputs = stage_inputs(name, runtime.weights_dir)
    with tempfile.TemporaryDirectory() as temporary:
        run = StageRun("", "", time.time(), False, Journal(Path(temporary)))
        store = open_store(runtime.mlflow_uri)
        body(
            Stage(
                name, Path("params.yaml"), runtime, inputs, store, run, state_folder(name, inputs.fingerprint)
            )
        )


def _execute(
    name: str, body: Callable[[Stage], None], upstream: Sequence[str], check_signals: Callable[[], None]
) -> None:
    params_path = Path("params.yaml")
    runtime = check_params(params_path).runtime
    require_agreement(runtime)
    if process_rank(runtime):
        _take_part(name, body, runtime)
        return
    store = open_store(runtime.mlflow_uri)
    _sync(store)
    inputs = stage_inputs(name, runtime.weights_dir)
    known = definitions()
    upstream_ids = _upstream_runs([stage for stage in upstream if stage in known], inputs)
    tags = _tags(name, inputs, upstream_ids) | {"device": runtime.device}
    commit = tags.get("git_commit", "")
    changed = changed_parameters(Path(), commit, name) if commit else {}
    title = run_name(name, changed, tags.get("dvc_experiment"))
    made_with = {key: tags[key] for key in MADE_WITH if key in tags}
    begun = time.monotonic()
    with resumable(name, inputs.fingerprint) as state:
        changes = _changes(state, made_with)
        if changes:
            print(f"WARNING: {name}: its paused state was made with other {changes}", file=sys.stderr)
            tags["resumed_with_other"] = changes
        parameters = inputs.flat_parameters()
        former = state.note.get("run_id")
        with store.run(
            name, tags=tags, params=parameters, resume_id=former, name=title, keep_journal=True
        ) as run:
            if not run.resumed:
                _describe(run, name, inputs, tags, note(changed, commit))
            state.write_note(run_id=run.id, parameters=parameters, made_with=made_with)
            try:
                with _device(name, runtime):
                    stage = Stage(name, params_path, runtime, inputs, store, run, state.folder, tags)
                    body(stage)
            except StateMismatchError as error:
                raise UserError(
                    f"{state.folder}: does not fit the networks any more ({error}); "
                    f"`arbiscale resume discard {state.name}` removes it"
                ) from None
            finally:
                check_signals()
            _write_record(stage, upstream_ids, tags, time.monotonic() - begun)
    remove_delivered(run.id)  # not before the state is gone: whatever goes on from that needs the curves


def _describe(run: StageRun, name: str, inputs: StageInputs, tags: dict[str, str], text: str) -> None:
    """Record what differs from the commit, and the data that are read, with their card."""
    if text:
        run.set_tags({"mlflow.note.content": text})
    if tags.get("git_dirty") == "true" and (patch := git_changes(Path.cwd(), tags["git_commit"])):
        run.log_text(patch[:LONGEST_PATCH], "changes.diff", "environment")
    context = "evaluation" if name == "evaluate" else "training"
    for path, digest in inputs.dependencies.items():
        if Path(path).parts[0] == "data":
            run.log_dataset(Path(path).name, digest, path, context)
            if (card := Path(path, CARD)).is_file():
                run.set_tags({CARD_TAG: sha256_of(card)})
                run.log_artifact(card.with_name(PAGE), "data")
                run.log_artifact(card, "data")


def _sync(store: Store) -> None:
    """Send what killed processes and those before an outage left; a store that takes nothing is a warning."""
    try:
        store.sync(keep=resumable_runs())
    except UserError as error:
        print(f"WARNING: {error}", file=sys.stderr)


def _changes(state: State, made_with: dict[str, str]) -> str:
    """What is not as when the state was made, `name (old, now new)`; empty for a new state."""
    before = state.note.get("made_with", made_with)
    changed = [key for key in made_with if before.get(key) != made_with[key]]
    return ", ".join(f"{key} ({before.get(key)}, now {made_with[key]})" for key in changed)


def _write_record(stage: Stage, upstream_ids: dict[str, str], tags: dict[str, str], seconds: float) -> None:
    """Write runs/NAME.json, which says what made a stage's outputs."""
    record = {
        "stage": stage.name,
        "run_id": stage.run.id,
        "experiment_id": stage.run.experiment_id,
        "experiment": tags.get("dvc_experiment"),
        "fingerprint": stage.fingerprint,
        "upstream": upstream_ids,
        "models": {
            path: digest
            for path, digest in stage.inputs.dependencies.items()
            if Path(path).parts[0] == "models"
        },
        "started": datetime.fromtimestamp(stage.run.started, UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "git_commit": tags.get("git_commit"),
        "git_dirty": tags.get("git_dirty") == "true",
        **stage.notes,
    }
    write_json(Path("runs") / f"{stage.name}.json", record)


def _upstream_runs(stages: Sequence[str], inputs: StageInputs) -> dict[str, str]:
    """The runs that made upstream stages' outputs; an evaluation counts where it measured these models."""
    records = {stage: _record(stage) for stage in stages}
    ids = {stage: str(record["run_id"]) for stage, record in records.items() if "run_id" in record}
    measured = records.get(MEASURES, {}).get("models", {})
    for path, digest in measured.items():
        if inputs.dependencies.get(path, digest) != digest and ids.pop(MEASURES, None):
            line = f"WARNING: {MEASURES}: measured another {path}; `dvc repro` measures this one"
            print(line, file=sys.stderr)
    return ids


def _record(stage: str) -> dict[str, Any]:
    """Of the run that made a stage's outputs, as DVC brought it back; empty where there is none."""
    try:
        return dict(json.loads(Path("runs", f"{stage}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # for a tag only: no result depends on it


def _tags(name: str, inputs: StageInputs, upstream_ids: dict[str, str]) -> dict[str, str]:
    tags = {
        "fingerprint": inputs.fingerprint,
        "code_sha256": inputs.code,
        "mlflow.source.name": f"stages/{name}.py",
    }
    tags |= machine_state() | experiment_state() | process_state() | git_state(Path.cwd())
    tags |= {f"upstream.{stage}": run_id for stage, run_id in upstream_ids.items()}
    if inputs.data_hash:
        tags["data_hash"] = inputs.data_hash
    tags |= {f"{key}.sha256": digest for key, digest in inputs.initial_weights.items()}
    return tags
