"""Paused states: what an interrupted stage left for the next process with equal inputs.

They lie outside DVC's outputs, which are removed or checked out before every execution. Only success and
`arbiscale resume discard` remove a state.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from arbiscale.errors import UserError
from arbiscale.files import named_errors, write_json
from arbiscale.training.checkpoint_files import resumable_step
from arbiscale.workspace import repository_root

NOTE = "run.json"
NAME_CHARACTERS = 12  # of a fingerprint, in a state's name


@dataclass(frozen=True)
class State:
    """A folder .resume/STAGE/FINGERPRINT.

    Attributes:
        folder: where it is. Training checkpoints lie in it.
        stage: whose it is.
    """

    folder: Path
    stage: str

    @property
    def name(self) -> str:
        """As `arbiscale resume` shows and takes it."""
        return f"{self.stage}/{self.folder.name[:NAME_CHARACTERS]}"

    @property
    def note(self) -> dict[str, Any]:
        """What the interrupted process wrote: `run_id`, `parameters`, `made_with`; empty if unreadable."""
        try:
            note = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def write_note(self, **values: Any) -> None:
        """Replace the note."""
        write_json(self.folder / NOTE, values)

    @property
    def step(self) -> int | None:
        """The optimizer step that a training would go on from, None where there is no whole checkpoint."""
        return resumable_step(self.folder)

    @property
    def age_seconds(self) -> float:
        """Since a file last changed."""
        now = time.time()
        return now - max((each.st_mtime for each in self._files()), default=now)

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(each.st_size for each in self._files())

    def _files(self) -> Iterator[os.stat_result]:
        """Every file that is there: a stage that is running makes and removes some meanwhile."""
        for parent, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):
                    yield Path(parent, name).stat()

    def changed(self, present: dict[str, Any]) -> list[str]:
        """`key: its value, not the present one` of every parameter that differs from the present ones."""
        own = self.note.get("parameters", {})
        return [
            f"{key}: {own.get(key)}, not {present.get(key)}"
            for key in sorted(own.keys() | present.keys())
            if own.get(key) != present.get(key)
        ]


def state_folder(stage: str, fingerprint: str) -> Path:
    """Where a stage with these inputs keeps its state."""
    return repository_root() / ".resume" / stage / fingerprint


def states() -> list[State]:
    """Every paused state of the repository, by stage and age, the newest first."""
    return sorted(_states(), key=lambda state: (state.stage, state.age_seconds))


def resumable_runs() -> set[str]:
    """The runs that a paused state would go on with."""
    return {str(state.note.get("run_id")) for state in _states()}


def _states() -> Iterator[State]:
    folders = (folder for folder in (repository_root() / ".resume").glob("*/*") if folder.is_dir())
    return (State(folder, folder.parent.name) for folder in folders)


def discard(name: str) -> Path:
    """Remove the state of that name (or of a longer part of its fingerprint); returns its folder.

    Raises:
        UserError: there is none or more than one of that name, or a process is using it.
    """
    stage, _, start = name.partition("/")
    paused = [state for state in states() if state.stage == stage]
    found = [state.folder for state in paused if start and state.folder.name.startswith(start)]
    if len(found) != 1:
        known = ", ".join(state.name for state in states()) or "none"
        problem = "fits more than one paused state" if found else "is no paused state"
        raise UserError(f"{name}: {problem}; there are: {known}")
    folder = found[0]
    try:
        with FileLock(_lock_file(folder), timeout=0):
            _remove(folder)
    except Timeout:
        raise UserError(f"{folder}: a running stage uses it; stop that one first") from None
    return folder


@contextmanager
def resumable(stage: str, fingerprint: str) -> Iterator[State]:
    """The state of a stage with these inputs, new or as the last process left it.

    It is removed on success and kept otherwise. Where another process uses it (two experiments with
    equal inputs), this one reports that and waits.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = state_folder(stage, fingerprint)
    lock = FileLock(_lock_file(folder))  # the operating system lets go of it when a process ends
    with named_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"{stage}: waiting for another process with equal inputs ({folder})", file=sys.stderr)
            lock.acquire()
        folder.mkdir(exist_ok=True)
    try:
        yield State(folder, stage)
        _remove(folder)
    finally:
        lock.release()


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path) -> None:
    """Remove a state that this process has locked; the lock goes last."""
    shutil.rmtree(folder)
    _lock_file(folder).unlink(missing_ok=True)
