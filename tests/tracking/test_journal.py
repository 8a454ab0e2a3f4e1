"""What is recorded survives a kill, a full disk and a resumed process, once."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from arbiscale.tracking import journal as journals
from arbiscale.tracking.journal import Journal, open_journal, remove, run_ids


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


def recorded(journal: Journal) -> list[tuple[Any, ...]]:
    return [
        (entry["step"], name, value)
        for entry in journal.entries()
        for name, value in entry.get("values", {}).items()
    ]


def test_a_repeated_step_is_recorded_once() -> None:
    with open_journal("r") as journal:
        for step in (1, 2, 3):
            journal.log_metrics({"loss": float(step)}, step)
    with open_journal("r") as journal:
        for step in (2, 3, 4):
            journal.log_metrics({"loss": float(step), "new": 0.0}, step)
    with open_journal("r") as journal:
        losses = [(step, value) for step, name, value in recorded(journal) if name == "loss"]
        assert losses == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
        assert [step for step, name, _ in recorded(journal) if name == "new"] == [2, 3, 4]


def test_pictures_are_recorded_once_and_go_when_they_are_sent(tmp_path: Path) -> None:
    with open_journal("r") as journal:
        for step in (5, 5, 6):
            journal.log_image("samples", step, lambda path: path.write_bytes(b"png"))
        first, second = journal.unsent()
        assert [first["step"], second["step"]] == [5, 6]
        journal.mark_sent(first)
        assert not journal.file(first).exists()
        assert journal.file(second).read_bytes() == b"png"
    with open_journal("r") as journal:
        assert [entry["step"] for entry in journal.unsent()] == [6]


def test_a_full_disk_loses_nothing_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        if mode == "ab":
            with opened(path, mode) as stream:
                stream.write(b'{"kind": "half a li')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, *arguments, **keywords)

    with open_journal("r") as journal:
        journal.log_metrics({"loss": 1.0}, 1)
        monkeypatch.setattr(journals.Path, "open", full)
        journal.log_metrics({"loss": 2.0}, 2)
        journal.log_metrics({"loss": 3.0}, 3)
        monkeypatch.undo()
        journal.log_metrics({"loss": 4.0}, 4)
        assert [value for _, _, value in recorded(journal)] == [1.0, 2.0, 3.0, 4.0]
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written (No space left on device)" in line


def test_how_a_run_ended_is_known() -> None:
    with open_journal("r") as journal:
        assert journal.status is None
        journal.append("end", status="FAILED")
        assert journal.status == "FAILED"
        journal.append("resume")
        assert journal.status is None


def test_a_run_that_the_store_lost_is_sent_anew() -> None:
    with open_journal("old") as journal:
        journal.log_metrics({"loss": 1.0}, 1)
        journal.mark_sent(*journal.unsent())
    with open_journal("new", "old") as journal:
        assert [entry["step"] for entry in journal.unsent()] == [1]
        assert run_ids() == ["new"]
        remove(journal)
    assert run_ids() == []
    assert list(Path(".journal").iterdir()) == []


def test_what_a_machine_lost_when_it_went_out_is_passed_over() -> None:
    """Such a journal ended every stage of the repository."""
    with open_journal("r") as journal:
        journal.log_metrics({"loss": 1.0}, 1)
        with (journal.folder / "entries.jsonl").open("ab") as lines:
            lines.write(bytes(40) + b"\n")
        journal.log_metrics({"loss": 2.0}, 2)
        first, *_ = journal.unsent(files=False)
        journal.mark_sent(first)
        assert [entry["step"] for entry in journal.unsent(files=False)] == [2]
    (journal.folder / "sent").write_bytes(b"")
    with open_journal("r") as journal:
        assert [entry["step"] for entry in journal.unsent(files=False)] == [1, 2]
