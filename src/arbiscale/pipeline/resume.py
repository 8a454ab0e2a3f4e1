"""Taking up an interrupted stage where it was: what identifies its inputs, and where its state waits.

The state lies outside DVC's outputs, as those are removed or checked out anew before every execution.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from arbiscale.config.section import flatten, look_up, read_yaml
from arbiscale.errors import UserError
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.workspace import find_folder, repository_root

KEPT_STATES = 3  # a stage, the one in use among them
KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class StageInputs:
    """What a stage's result depends on.

    Attributes:
        parameters: the tracked ones, by tracked key.
        dependencies: those in dvc.yaml: sha256 by path.
        initial_weights: model folders that a parameter `init_from` names: sha256 by the parameter's key.
            DVC does not watch them.
    """

    parameters: dict[str, Any]
    dependencies: dict[str, str]
    initial_weights: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """One hash of the inputs and of the versions of Python and torch."""
        return sha256_of_json(
            {
                "parameters": self.parameters,
                "dependencies": self.dependencies,
                "initial_weights": self.initial_weights,
                "python": platform.python_version(),
                "torch": metadata.version("torch"),
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
        """One hash of the dependencies under data/, None if there is none."""
        data = {path: digest for path, digest in self.dependencies.items() if Path(path).parts[0] == "data"}
        return sha256_of_json(data) if data else None


def stage_inputs(stage: str, root: Path | None = None) -> StageInputs:
    """Read a stage's tracked parameters and dependencies.

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
    inputs = StageInputs(parameters, {path: content_hash(root / path) for path in sorted(paths)})
    return replace(inputs, initial_weights=_initial_weights(inputs.flat_parameters()))


def _initial_weights(parameters: dict[str, Any]) -> dict[str, str]:
    named = {key: path for key, path in parameters.items() if key.endswith(".init_from") and path}
    for key, path in named.items():
        if not find_folder(path).is_dir():
            raise UserError(f"{key}: {path}: no such folder; `arbiscale import-checkpoint` makes one")
    return {key: content_hash(find_folder(path)) for key, path in named.items()}


def fingerprint(stage: str, root: Path | None = None) -> str:
    """The hash that changes with anything a stage's result depends on (see `stage_inputs`)."""
    return stage_inputs(stage, root).fingerprint


@contextmanager
def scratch(stage: str, fingerprint: str) -> Iterator[Path]:
    """A folder for a stage's state: found again by the next process with the same fingerprint.

    It is removed on success and kept otherwise. While another process holds it (two experiments with
    equal inputs), this one gets a private folder that does not outlast it.
    """
    folder = repository_root() / ".resume" / stage / fingerprint
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    with _try_lock(folder) as held:
        if held:
            _prune(folder)
            folder.mkdir(exist_ok=True)  # a finishing holder may have removed it just now
            yield folder
            shutil.rmtree(folder)
            _lock_file(folder).unlink(missing_ok=True)
        else:
            with tempfile.TemporaryDirectory(prefix=f"arbiscale-{stage}-") as private:
                yield Path(private)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextmanager
def _try_lock(folder: Path) -> Iterator[bool]:
    """Whether this process now holds the folder; the operating system lets go of it on any end."""
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _prune(current: Path) -> None:
    """Remove the stage's states that are old or many, unless a process holds them."""
    by_age: list[tuple[float, Path]] = []
    for other in current.parent.iterdir():
        with suppress(FileNotFoundError):  # another process prunes or finishes at this moment
            if other.is_dir() and other != current:
                by_age.append((other.stat().st_mtime, other))
    for rank, (changed, other) in enumerate(sorted(by_age, reverse=True), start=1):
        if rank < KEPT_STATES and time.time() - changed < KEPT_SECONDS:
            continue
        with _try_lock(other) as held:
            if held:
                shutil.rmtree(other, ignore_errors=True)
                _lock_file(other).unlink(missing_ok=True)
