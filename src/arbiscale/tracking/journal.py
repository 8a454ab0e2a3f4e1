"""What runs record, on disk before it is sent: `.journal/RUN` in the repository; imports no MLflow.

A line of JSON an entry, in the order of recording; pictures and artifacts wait in `files`. Up to which byte
the store has the entries stands in `sent`, and in `sent_files` for those that come with a file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from arbiscale.files import atomic_file, named_errors
from arbiscale.workspace import repository_root

_SENT = ("sent", "sent_files")  # of entries without a file, of those with one


class Journal:
    """The entries of one run. Recording never raises: what a full disk refuses is kept in memory.

    A resumed training repeats steps; what is recorded of a name at a step first counts, later is dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines = folder / "entries.jsonl"
        self._guard = threading.Lock()
        self._waiting: list[bytes] = []
        self._warned = self._finished = False
        self._sent = [_place(folder / name) for name in _SENT]
        self._cut_off_last_line()
        self._last_steps: dict[str, int] = {}
        for entry in self.entries():
            for name in _series(entry):
                self._last_steps[name] = entry["step"]

    @property
    def run_id(self) -> str:
        """Of the run, as the store calls it."""
        return self.folder.name

    def log_metrics(self, metrics: dict[str, float], step: int | None) -> None:
        """Record values at an optimizer step (None: of the run as a whole)."""
        new = {name: float(value) for name, value in metrics.items() if self._is_new(name, step)}
        if new:
            self.append("metrics", values=new, step=step)

    def log_image(self, name: str, step: int | None, write: Callable[[Path], Any]) -> None:
        """Record a picture, which `write` writes as PNG."""
        if self._is_new(name, step):
            self._append_file("image", "image.png", write, name=name, step=step)

    def log_artifact(self, name: str, folder: str | None, write: Callable[[Path], Any]) -> None:
        """Record a file or a folder, which `write` makes."""
        self._append_file("artifact", name, write, folder=folder)

    def append(self, kind: str, **values: Any) -> None:
        """Record anything else; see `arbiscale.tracking.delivery` for the kinds."""
        line = json.dumps({"kind": kind, "time": int(time.time() * 1000), **values}) + "\n"
        with self._guard:
            self._finished = values.get("status") == "FINISHED"
            self._waiting.append(line.encode())
            length = self._lines.stat().st_size if self._lines.exists() else 0
            try:
                with self._lines.open("ab") as stream:
                    stream.write(b"".join(self._waiting))
                self._waiting.clear()
            except OSError as error:
                with suppress(OSError):
                    os.truncate(self._lines, length)
                self._warn(error)

    def entries(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """What was recorded, from a place on; `end` of each is the place behind it.

        What waits for a full disk is among it when the run has finished: nobody would write it later. A line
        that a machine lost when it went out is passed over.
        """
        with self._guard:
            content = self._lines.read_bytes() if self._lines.exists() else b""
            if self._finished:
                content += b"".join(self._waiting)
        for line in content[start:].splitlines(keepends=True):
            start += len(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            yield {**entry, "end": start}

    def unsent(self, *, files: bool | None = None) -> Iterator[dict[str, Any]]:
        """What the store does not have yet: entries with a file, those without, or (None) both."""
        end, found = 0, False
        for entry in self.entries(min(self._sent) if files is None else self._sent[files]):
            end = entry["end"]
            with_file = "file" in entry
            if end > self._sent[with_file] and files in (None, with_file):
                yield entry
                found = True
        if files is not None and not found:
            self._sent[files] = max(end, self._sent[files])  # nothing of this kind up to there

    def mark_sent(self, entry: dict[str, Any]) -> None:
        """Everything of this entry's kind, with a file or without, has reached the store up to it."""
        with_file = "file" in entry
        self._sent[with_file] = entry["end"]
        with atomic_file(self.folder / _SENT[with_file]) as temporary:
            temporary.write_text(str(entry["end"]))
        if with_file:
            shutil.rmtree(self.file(entry).parent, ignore_errors=True)

    def file(self, entry: dict[str, Any]) -> Path:
        """The file or folder that an entry records; it is gone where it was sent."""
        return self.folder / "files" / str(entry["file"])

    @property
    def status(self) -> str | None:
        """How the run ended; None of one that did not, or was resumed."""
        last = None
        for entry in self.entries():
            if entry["kind"] in ("end", "resume"):
                last = entry.get("status")
        return last

    def _append_file(self, kind: str, file_name: str, write: Callable[[Path], Any], **values: Any) -> None:
        place = f"{time.time_ns()}/{file_name}"
        path = self.folder / "files" / place
        try:
            path.parent.mkdir(parents=True)
            write(path)
        except OSError as error:
            shutil.rmtree(path.parent, ignore_errors=True)
            self._warn(error)
            return
        self.append(kind, file=place, **values)

    def _is_new(self, name: str, step: int | None) -> bool:
        if step is None:
            return True
        if step <= self._last_steps.get(name, -1):
            return False
        self._last_steps[name] = step
        return True

    def _cut_off_last_line(self) -> None:
        """Of a process that was killed while it wrote."""
        if self._lines.exists():
            content = self._lines.read_bytes()
            os.truncate(self._lines, content.rfind(b"\n") + 1)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            print(f"WARNING: {self.folder}: cannot be written ({error.strerror})", file=sys.stderr)
        self._warned = True


@contextmanager
def open_journal(run_id: str, former_id: str | None = None, *, timeout: float = -1) -> Iterator[Journal]:
    """The journal of a run, new or as its last process left it, locked.

    Args:
        run_id: the store's id of it.
        former_id: of a run that the store does not have any more: its journal is continued and sent anew.
        timeout: seconds to wait for another process; negative = as long as it takes.

    Raises:
        filelock.Timeout: another process holds it.
        UserError: the folder cannot be written.
    """
    folder = _root() / run_id
    former = _root() / former_id if former_id else None
    with named_errors(folder):
        _root().mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=timeout):
        if former and former.is_dir():
            former.rename(folder)
            for name in _SENT:
                (folder / name).unlink(missing_ok=True)
            Path(f"{former}.lock").unlink(missing_ok=True)
        with named_errors(folder):
            folder.mkdir(exist_ok=True)
            journal = Journal(folder)
        yield journal


def remove(journal: Journal) -> None:
    """Remove a journal that this process has locked; the lock goes last."""
    shutil.rmtree(journal.folder)
    Path(f"{journal.folder}.lock").unlink(missing_ok=True)


def remove_delivered(run_id: str) -> None:
    """Remove the journal of a finished run, where the store has all of it; what else uses it keeps it."""
    with suppress(Timeout), open_journal(run_id, timeout=0) as journal:
        if journal.status == "FINISHED" and not any(True for _ in journal.unsent()):
            remove(journal)


def run_ids() -> list[str]:
    """The runs that have a journal."""
    return sorted(folder.name for folder in _root().glob("*") if folder.is_dir())


def _place(sent: Path) -> int:
    """Up to where the store has entries; where that was lost they are sent again, which MLflow drops."""
    try:
        return int(sent.read_text())
    except (OSError, ValueError):
        return 0


def _root() -> Path:
    return repository_root() / ".journal"


def _series(entry: dict[str, Any]) -> list[str]:
    """The names of which an entry records something at a step."""
    if entry.get("step") is None:
        return []
    return list(entry["values"]) if entry["kind"] == "metrics" else [entry["name"]]
