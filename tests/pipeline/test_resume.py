"""Paused states: kept by everything but success and `arbiscale resume discard`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.pipeline.resume import State, discard, resumable, resumable_runs, states
from arbiscale.training.checkpoint_files import checkpoint_file


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def pause(stage: str, fingerprint: str, step: int = 4, **parameters: float) -> Path:
    """Leave a state as an interrupted training does."""
    with suppress(RuntimeError), resumable(stage, fingerprint) as state:
        state.write_note(run_id="abc", parameters=parameters, made_with={})
        torch.save({"global_step": step}, checkpoint_file(state.folder, step))
        raise RuntimeError
    return state.folder


def test_a_state_survives_failure_and_goes_on_success(workspace: Path) -> None:
    first = pause("s", "f")
    assert first == workspace / ".resume/s/f"
    with resumable("s", "f") as second:
        assert (second.step, second.note["run_id"]) == (4, "abc")
    assert list((workspace / ".resume/s").iterdir()) == []
    with resumable("s", "f") as third:
        assert list(third.folder.iterdir()) == []


def test_states_lie_in_the_real_repository(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("root")
    monkeypatch.setenv("DVC_ROOT", str(root))
    with resumable("s", "f") as state:
        assert state.folder == root / ".resume/s/f"


def test_one_of_eight_interrupted_experiments_is_finished(workspace: Path) -> None:
    paused = [pause("diffusion", f"{index}" * 64, lr=index) for index in range(8)]
    with resumable("diffusion", "3" * 64) as state:
        assert state.step == 4
    assert {found.folder for found in states()} == {*paused} - {paused[3]}


HOLD = """
import sys, time
from arbiscale.pipeline.resume import resumable
with resumable('s', 'f') as state:
    print('begun', flush=True)
    time.sleep(float(sys.argv[1]))
    (state.folder / 'x').touch()
    raise SystemExit(3)
"""


def hold(seconds: float) -> subprocess.Popen[str]:
    """Another process that has the state s/f for so long."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_second_process_says_so_and_waits(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = hold(1)
    with resumable("s", "f") as state:
        assert [file.name for file in state.folder.iterdir()] == ["x"]  # what the first left
    assert process.wait() == 3
    assert f"s: waiting for another process with equal inputs ({state.folder})" in capsys.readouterr().err
    process.communicate()


def test_a_killed_holder_lets_go(workspace: Path) -> None:
    process = hold(60)
    with pytest.raises(UserError, match="a running stage uses it"):
        discard("s/f")
    process.kill()
    process.communicate()
    begun = time.monotonic()
    with resumable("s", "f"):
        assert time.monotonic() - begun < 5


def test_what_is_paused(workspace: Path) -> None:
    folder = pause("diffusion", "ab" * 32, step=7, lr=0.1, steps=5)
    pause("autoencoder", "cd" * 32)
    checkpoint_file(workspace / ".resume/autoencoder" / ("cd" * 32), 4).write_bytes(b"cut off")
    first, second = states()
    assert (first.stage, first.step) == ("autoencoder", None)
    assert second == State(folder, "diffusion")
    assert second.name == "diffusion/abababababab"
    assert second.step == 7
    assert second.size_bytes > 100
    assert 0 <= second.age_seconds < 60
    assert second.changed({"lr": 0.2, "steps": 5, "new": 1}) == ["lr: 0.1, not 0.2", "new: None, not 1"]


def test_files_that_a_running_stage_removes_meanwhile_are_no_error(workspace: Path) -> None:
    folder = pause("diffusion", "ab" * 32)
    (folder / ".part").symlink_to("renamed since it was listed")
    assert resumable_runs() == {"abc"}
    (state,) = states()
    assert state.size_bytes > 100
    shutil.rmtree(folder)
    assert (state.size_bytes, state.age_seconds) == (0, 0)


def test_discarding(workspace: Path) -> None:
    folder, other = pause("diffusion", "ab" * 32), pause("diffusion", "ac" * 32)
    with pytest.raises(UserError, match="diffusion/a: fits more than one"):
        discard("diffusion/a")
    for name in ("diffusion", "diffusion/", "diffusion/b", "autoencoder/ab"):
        with pytest.raises(UserError, match=r"is no paused state; there are: diffusion/acacacacacac, "):
            discard(name)
    assert discard("diffusion/abababababab") == folder
    assert [state.folder for state in states()] == [other]
    shutil.rmtree(workspace / ".resume")
    with pytest.raises(UserError, match="there are: none"):
        discard("diffusion/ab")


def test_an_unwritable_place_is_named(workspace: Path) -> None:
    (workspace / ".resume").write_text("a file stands here")
    with pytest.raises(UserError, match=r"\.resume.*cannot be written"), resumable("s", "f"):
        pass
