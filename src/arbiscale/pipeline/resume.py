"""Resuming an interrupted stage: what identifies it, where its state waits, and who holds it.

The state lies outside DVC's outputs, which are removed or checked out again before every execution, in
`.resume/STAGE/FINGERPRINT/` of the repository. Success removes a stage's own state, `arbiscale resume
discard` removes one by hand, and nothing else ever does.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from arbiscale.config.section import flatten, look_up, read_yaml
from arbiscale.errors import UserError
from arbiscale.files import content_hash, named_errors, sha256_of_json, write_json
from arbiscale.workspace import find_folder, repository_root

FORMAT = 2  # of what a state holds; another number is another fingerprint
NOTE = "state.json"  # in a state's folder: what it was begun with
CODE = ("src", "stages")  # dependencies that a fingerprint leaves out


@dataclass(frozen=True)
class StageInputs:
    """What identifies the result of a stage.

    Attributes:
        parameters: the tracked ones, by tracked key.
        data: dependencies that are not code (crops, upstream models): sha256 by path.
        initial_weights: model folders that a parameter `init_from` names, which DVC does not watch: sha256 by
            the parameter's key.
        left_out: terms of the loss that cannot take part, as their network is not available.
    """

    parameters: dict[str, Any]
    data: dict[str, str]
    initial_weights: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """One hash of all of it. Code and versions are no part: a paused training survives their changes."""
        return sha256_of_json(
            {
                "format": FORMAT,
                "parameters": self.parameters,
                "data": self.data,
                "initial_weights": self.initial_weights,
                "left_out": self.left_out,
            }
        )

    def flat_parameters(self) -> dict[str, Any]:
        """Every parameter by its dotted key, without the name of its file."""
        flat: dict[str, Any] = {}
        for key, value in self.parameters.items():
            flat |= flatten({key.partition(":")[2]: value})
        return flat

    @property
    def data_hash(self) -> str | None:
        """One hash of the dependencies under data/; None if there is none."""
        data = {path: digest for path, digest in self.data.items() if Path(path).parts[0] == "data"}
        return sha256_of_json(data) if data else None


def stage_inputs(stage: str, root: Path | None = None) -> StageInputs:
    """Read a stage's tracked parameters and hash its dependencies.

    Args:
        stage: its name in dvc.yaml.
        root: the workspace with dvc.yaml; the working directory by default.

    Raises:
        UserError: dvc.yaml or the stage, a tracked parameter or a dependency is missing.
    """
    root = root or Path.cwd()
    definition = look_up(read_yaml(root / "dvc.yaml"), f"stages.{stage}", root / "dvc.yaml")
    parameters: dict[str, Any] = {}
    for entry in definition.get("params", []):
        # `key`, or {file: [key, ...]}, or {file: null} for the whole of a file
        files = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
        for file, keys in files.items():
            values = read_yaml(root / file)
            for key in keys or values:
                parameters[f"{file}:{key}"] = look_up(values, key, root / file)
    paths = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in definition.get("deps", [])]
    data = sorted(path for path in paths if Path(path).parts[0] not in CODE)
    inputs = StageInputs(parameters, {path: content_hash(root / path) for path in data})
    return replace(inputs, initial_weights=_initial_weights(inputs.flat_parameters()))


def _initial_weights(parameters: Mapping[str, Any]) -> dict[str, str]:
    named = {key: path for key, path in parameters.items() if key.endswith(".init_from") and path}
    for key, path in named.items():
        if not find_folder(path).is_dir():
            raise UserError(f"{key}: {path}: no such folder; `arbiscale import-checkpoint` makes one")
    return {key: content_hash(find_folder(path)) for key, path in named.items()}


@contextmanager
def resumable(stage: str, inputs: StageInputs, commit: str | None = None) -> Iterator[Path]:
    """The folder of a stage's state: found again by the next process with the same inputs.

    It is removed on success and kept otherwise. A second process with the same inputs waits for the first.
    A state of another commit, Python or torch is taken up, with a line that says so.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = states_folder() / stage / inputs.fingerprint
    with named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _held(folder, stage):
        with named_errors(folder):
            folder.mkdir(exist_ok=True)  # the process that held it may have finished and removed it
            _take_up(folder, stage, inputs, commit)
        yield folder
        shutil.rmtree(folder)


def states_folder() -> Path:
    """Where the states of interrupted stages lie."""
    return repository_root() / ".resume"


@contextmanager
def _held(folder: Path, stage: str) -> Iterator[None]:
    """Hold a state's folder; the operating system releases it however the process ends."""
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{stage}: another process runs it with the same inputs; waiting for that one", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _take_up(folder: Path, stage: str, inputs: StageInputs, commit: str | None) -> None:
    """Note what a new state begins with, or report what is different from what an old one began with."""
    now = {
        "commit": commit or "",
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
    try:
        begun = json.loads((folder / NOTE).read_text(encoding="utf-8"))["begun_with"]
    except (OSError, ValueError, KeyError, TypeError):
        note = {
            "stage": stage,
            "begun": time.time(),
            "begun_with": now,
            "parameters": inputs.flat_parameters(),
        }
        write_json(folder / NOTE, note)
        return
    changed = [
        f"{name} {begun.get(name)} -> {value}" for name, value in now.items() if begun.get(name) != value
    ]
    if changed:
        print(f"{stage}: warning: continues a state begun with {'; '.join(changed)}", flush=True)


@dataclass(frozen=True)
class State:
    """An interrupted stage's state on disk.

    Attributes:
        stage: which stage.
        folder: where it lies.
        begun: seconds since the epoch.
        parameters: the tracked ones, by dotted key.
        bytes: its size.
    """

    stage: str
    folder: Path
    begun: float
    parameters: dict[str, Any]
    bytes: int

    @property
    def name(self) -> str:
        """What `arbiscale resume` calls it: the beginning of the fingerprint."""
        return self.folder.name[:12]


def find_states() -> list[State]:
    """Every state, the oldest first."""
    states = []
    for folder in states_folder().glob("*/*/"):
        try:
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = {}
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        begun = float(note.get("begun", folder.stat().st_mtime))
        states.append(State(folder.parent.name, folder, begun, note.get("parameters", {}), size))
    return sorted(states, key=lambda state: state.begun)


def discard(name: str) -> State:
    """Remove the state of a name (the beginning of its fingerprint is enough).

    Raises:
        UserError: none or several have that name, or a process holds it.
    """
    found = [state for state in find_states() if state.folder.name.startswith(name)] if name else []
    if len(found) != 1:
        known = ", ".join(state.name for state in find_states()) or "there is none"
        raise UserError(f"resume: {len(found)} states are called {name!r}; `arbiscale resume list`: {known}")
    (state,) = found
    lock = FileLock(_lock_file(state.folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{state.folder}: a running process holds it; end that one first") from None
    with lock:
        shutil.rmtree(state.folder)
    lock.release()
    return state
