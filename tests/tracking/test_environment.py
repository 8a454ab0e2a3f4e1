import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from arbiscale.tracking.environment import (
    accelerator,
    experiment_state,
    git_state,
    installed_packages,
    machine_state,
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    for name in ("a", "dvc.lock"):
        (tmp_path / name).write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


def test_commit_and_changes(repository: Path) -> None:
    clean = git_state(repository)
    assert len(clean["git_commit"]) == 40
    assert clean["git_dirty"] == "false"
    (repository / "untracked").touch()
    assert git_state(repository) == clean
    (repository / "dvc.lock").write_text("rewritten by DVC after every stage")
    assert git_state(repository) == clean
    (repository / "a").write_text("2")
    assert git_state(repository) == {**clean, "git_dirty": "true"}


def test_experiments_name_the_commit_they_started_from(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    assert git_state(repository)["git_commit"] == "0" * 40


def test_nothing_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == {}


def test_experiment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    assert experiment_state() == {"dvc_experiment": "brave-newt"}


def test_machine_and_packages() -> None:
    state = machine_state()
    assert state["python"] == ".".join(map(str, sys.version_info[:3]))
    assert state["torch"] == metadata.version("torch")
    lines = installed_packages().splitlines()
    assert f"filelock=={metadata.version('filelock')}" in lines
    assert lines == sorted(set(lines), key=lambda line: line.partition("==")[0].lower())


def test_an_unused_accelerator_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert accelerator() is None
