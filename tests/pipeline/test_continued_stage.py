"""A stage that failed, was stopped or was killed: its run and its state go on, as long as they fit."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from arbiscale.errors import UserError
from arbiscale.pipeline import resume
from arbiscale.pipeline.curves import write_curves
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.tracking.store import open_store
from arbiscale.training.module import StateMismatchError

from .toy_stage import execute, runs, start, states


def test_a_crash_shows_itself_and_can_be_continued(workspace: Path) -> None:
    seen: list[str] = []

    def body(stage: Stage) -> None:
        seen.append(stage.run.id)
        (stage.scratch / f"attempt {len(seen)}").touch()
        if len(seen) == 1:
            raise RuntimeError("boom")
        assert (stage.scratch / "attempt 1").exists()

    with pytest.raises(RuntimeError, match="boom"):
        run_stage("toy", body)
    assert runs(open_store()) == [(seen[0], "FAILED")]
    run_stage("toy", body)
    assert runs(open_store()) == [(seen[0], "FINISHED")]
    assert seen[0] == seen[1]


def test_curves_outlive_a_kill_right_before_the_end(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has ended in the store, the state is still there: what goes on from it repeats no step."""

    def train(stage: Stage) -> None:
        (stage.scratch / "attempts").open("a").write("x")
        if (stage.scratch / "attempts").read_text() == "x":
            stage.run.log_metrics({"train/loss": 3.0}, step=0)
        write_curves(stage.run.journal, workspace / "toy.tsv")

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resume, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(train)
    ((run_id, status),) = runs(open_store())
    assert status == "FINISHED"
    (workspace / "toy.tsv").unlink()  # as DVC does
    assert execute(train) == 0
    assert (workspace / "toy.tsv").read_text() == "step\ttrain/loss\n0\t3.0\n"
    assert runs(open_store()) == [(run_id, "FINISHED")]
    assert [*(workspace / ".journal").iterdir()] == []


def test_what_was_measured_is_part_of_the_state(workspace: Path) -> None:
    """On an accelerator a second measurement may differ in its last digits."""
    seen: list[list[float]] = []

    def body(stage: Stage) -> None:
        measured = iter([0.1 + 0.2, 0.3])
        seen.append(stage.remember("statistics", lambda: {"scale": [next(measured), len(seen)]})["scale"])
        if len(seen) == 1:
            raise UserError("no")

    assert [execute(body), execute(body)] == [2, 0]
    assert seen == [[0.1 + 0.2, 0]] * 2


def test_other_code_resumes_with_a_warning(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(stage: Stage) -> None:
        raise UserError("no")

    assert execute(fail) == 2
    (workspace / "stages/toy.py").write_text("# another comment\n")
    capsys.readouterr()
    assert execute(lambda stage: None) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("WARNING: toy: its paused state was made with other code_sha256 (")
    ((run_id, status),) = runs(open_store())
    assert status == "FINISHED"
    assert "code_sha256" in open_store().client.get_run(run_id).data.tags["resumed_with_other"]


def test_a_state_that_does_not_fit_is_refused_by_name(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def mismatch(stage: Stage) -> None:
        raise StateMismatchError("head.weight: (1, 2), wanted (3, 2)")

    assert execute(mismatch) == 2
    (folder,) = states(workspace)
    error = capsys.readouterr().err
    assert f"error: {folder}: does not fit the networks" in error
    assert f"head.weight: (1, 2), wanted (3, 2)); `arbiscale resume discard toy/{folder.name[:12]}`" in error


def test_another_input_starts_again(workspace: Path) -> None:
    def fail(stage: Stage) -> None:
        raise UserError("no")

    assert execute(fail) == 2
    (workspace / "data/a.txt").write_text("2")
    assert execute(lambda stage: None) == 0
    first, second = runs(open_store())
    assert first[0] != second[0]
    assert {first[1], second[1]} == {"FAILED", "FINISHED"}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("disguised", [False, True])
def test_a_signal_kills_the_run_and_keeps_its_state(
    workspace: Path, capsys: pytest.CaptureFixture[str], signum: int, disguised: bool
) -> None:
    def body(stage: Stage) -> None:
        try:
            os.kill(os.getpid(), signum)
        except KeyboardInterrupt:
            if disguised:
                sys.exit(1)  # as Lightning does
            raise

    assert execute(body) == 128 + signum
    assert "the same command continues it" in capsys.readouterr().err
    ((run_id, status),) = runs(open_store())
    assert status == "KILLED"
    assert len(states(workspace)) == 1
    assert execute(lambda stage: None) == 0
    assert runs(open_store()) == [(run_id, "FINISHED")]


def test_a_killed_process_group_is_continued(workspace: Path) -> None:
    seen = workspace / "seen"
    assert start(workspace, seen, DIE="1").wait(60) == -signal.SIGKILL
    first, attempts = seen.read_text().split()
    assert attempts == "x"
    assert runs(open_store()) == [(first, "RUNNING")]
    assert start(workspace, seen).wait(60) == 0
    assert seen.read_text().split() == [first, "xx"]
    assert runs(open_store()) == [(first, "FINISHED")]
    assert json.loads((workspace / "runs/toy.json").read_text())["run_id"] == first


def test_the_next_stage_marks_a_killed_run(workspace: Path) -> None:
    """Also with other parameters, so that the run is never resumed."""
    assert start(workspace, workspace / "seen", DIE="1").wait(60) == -signal.SIGKILL
    ((killed, _),) = runs(open_store())
    (workspace / "data/a.txt").write_text("2")
    assert execute(lambda stage: None) == 0
    assert dict(runs(open_store()))[killed] == "KILLED"
    assert (workspace / ".journal" / killed).is_dir()  # its state may be resumed
    shutil.rmtree(workspace / ".resume")
    assert execute(lambda stage: None) == 0
    assert not (workspace / ".journal" / killed).exists()
