import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from arbiscale.tracking.environment import (
    accelerator,
    committed,
    experiment_state,
    git_changes,
    git_state,
    installed_packages,
    machine_state,
    process_state,
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    for name in ("a", "dvc.lock", "params.yaml"):
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
    (repository / "params.yaml").write_text("recorded as parameters")
    assert git_state(repository) == clean
    assert git_changes(repository, clean["git_commit"]) == ""
    (repository / "a").write_text("2")
    assert git_state(repository) == {**clean, "git_dirty": "true"}
    patch = git_changes(repository, clean["git_commit"])
    assert "+2" in patch
    assert "params.yaml" not in patch
    assert committed(repository, clean["git_commit"], "a") == "1"
    assert committed(repository, clean["git_commit"], "untracked") is None
    assert clean["mlflow.source.git.commit"] == clean["git_commit"]
    assert clean["mlflow.source.git.branch"] in ("master", "main")


def test_commits_of_an_experiment_count_as_changes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workspace stands on a commit of its own, of what was changed."""
    baseline = git_state(repository)["git_commit"]
    (repository / "a").write_text("2")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(repository), *who, "commit", "-qam", "experiment"], check=True)
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", baseline)
    state = git_state(repository)
    assert (state["git_commit"], state["git_dirty"]) == (baseline, "true")


def test_a_commit_that_is_not_there_is_not_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    assert git_state(repository) == {}  # which is not there


def test_nothing_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == {}


def test_experiment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    assert experiment_state() == {"dvc_experiment": "brave-newt"}


def test_stages_of_one_command_share_an_id(tmp_path: Path) -> None:
    """Of the nearest process above that is DVC."""
    assert process_state()["mlflow.user"]
    assert "pipeline_run" not in process_state()
    script = (
        "from arbiscale.tracking.environment import process_state; print(process_state()['pipeline_run'])"
    )
    dvc = tmp_path / "dvc"
    dvc.write_text(
        f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, '-c', {script!r}])\n"
    )
    first, second = (
        subprocess.run([sys.executable, dvc], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert first[0] == first[1]
    assert first[0] != second[0]


def test_machine_and_packages() -> None:
    state = machine_state()
    assert state["python"] == ".".join(map(str, sys.version_info[:3]))
    assert state["torch"] == metadata.version("torch")
    lines = installed_packages().splitlines()
    assert f"filelock=={metadata.version('filelock')}" in lines
    assert lines == sorted(set(lines), key=lambda line: line.partition("==")[0].lower())


@pytest.mark.parametrize(("wanted", "named"), [("cuda:1", "second"), ("cuda", "first"), ("auto", "first")])
def test_the_accelerator_asked_for_is_named(monkeypatch: pytest.MonkeyPatch, wanted: str, named: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    names = {"cuda:1": "second"}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda at=None: names.get(at, "first"))
    assert accelerator(wanted) == named


def test_an_unused_accelerator_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert accelerator() is None
