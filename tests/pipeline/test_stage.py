import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import Field

from arbiscale.config.align import AlignSettings
from arbiscale.config.section import Section, look_up, read_yaml
from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.pipeline import resume
from arbiscale.pipeline.curves import write_curves
from arbiscale.pipeline.fingerprint import stage_inputs
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.tracking.store import Store, open_store
from arbiscale.training.module import StateMismatchError

PARAMS = Path(__file__).parents[2] / "params.yaml"
TOY = "  toy:\n    params: [seed, align.lr]\n    deps: [stages/toy.py, data]\n"
DVC = "stages:\n  crop: {}\n  download: {}\n  evaluate: {}\n" + TOY
SCRIPT = """
import os, pathlib
from arbiscale.pipeline.stage import run_stage

def main(stage):
    (stage.scratch / "attempts").open("a").write("x")
    attempts = (stage.scratch / "attempts").read_text()
    stage.run.log_metrics({"loss": 1.0}, step=len(attempts))
    pathlib.Path(os.environ["SEEN"]).write_text(f"{stage.run.id} {attempts}")
    if os.environ.get("DIE"):
        os.killpg(os.getpgid(0), 9)

run_stage("toy", main)
"""


class AlignRate(Section):
    lr: float = Field(gt=0)


@pytest.fixture
def workspace(project: Path) -> Path:
    shutil.copy(PARAMS, project / "params.yaml")
    (project / "dvc.yaml").write_text(DVC)
    (project / "data").mkdir()
    (project / "data/a.txt").write_text("1")
    (project / "stages").mkdir()
    (project / "stages/toy.py").write_text(SCRIPT)
    return project


def execute(body: Callable[[Stage], None], upstream: Sequence[str] = ("crop", "download", "gone")) -> int:
    """The exit code of a stage."""
    try:
        run_stage("toy", body, upstream=upstream)
    except SystemExit as end:
        return int(str(end.code))
    return 0


def runs(store: Store) -> list[tuple[str, str]]:
    found = store.client.search_runs([store.experiment_id])
    return [(run.info.run_id, run.info.status) for run in found]


def states(workspace: Path) -> list[Path]:
    return [path for path in (workspace / ".resume/toy").iterdir() if path.is_dir()]


def test_a_stage_is_recorded(workspace: Path) -> None:
    (workspace / "runs").mkdir()
    (workspace / "runs/crop.json").write_text('{"run_id": "abc"}')
    (workspace / "runs/gone.json").write_text('{"run_id": "of a stage that there was"}')
    (workspace / "runs/download.json").write_text("damaged")
    seen: list[Stage] = []
    assert execute(seen.append) == 0
    (stage,) = seen
    record = json.loads((workspace / "runs/toy.json").read_text())
    assert record["run_id"] == stage.run.id
    assert record["fingerprint"] == stage.fingerprint == stage_inputs("toy").fingerprint
    assert record["upstream"] == {"crop": "abc"}
    assert record["seconds"] >= 0
    assert states(workspace) == []
    run = open_store().client.get_run(stage.run.id)
    assert run.info.status == "FINISHED"
    rate = look_up(read_yaml(PARAMS), "align.lr", PARAMS)
    assert run.data.params == {"seed": "0", "align.lr": str(rate)}
    wanted = {"stage": "toy", "upstream.crop": "abc", "fingerprint": stage.fingerprint, "device": "auto"}
    assert wanted.items() <= run.data.tags.items()
    assert {"python", "torch", "host", "data_hash"} <= run.data.tags.keys()
    assert "upstream.download" not in run.data.tags


def test_an_evaluation_of_another_model_is_none_of_this_one(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after `dvc repro --force --single-item` of a training and of what registers it."""
    (workspace / "models/made").mkdir(parents=True)
    (workspace / "dvc.yaml").write_text(DVC.replace("data]", "data, models/made]"))
    assert execute(lambda stage: None) == 0
    record = json.loads((workspace / "runs/toy.json").read_text())
    assert record["models"] == {"models/made": content_hash(workspace / "models/made")}
    (workspace / "runs/evaluate.json").write_text(json.dumps(record | {"run_id": "e"}))
    for content, counts in (("same", True), ("other", False)):
        if not counts:
            (workspace / "models/made/config.json").write_text(content)
        assert execute(lambda stage: None, upstream=["evaluate"]) == 0
        upstream = json.loads((workspace / "runs/toy.json").read_text())["upstream"]
        assert upstream == ({"evaluate": "e"} if counts else {})
        assert ("evaluate: measured another models/made" in capsys.readouterr().err) != counts


def test_a_run_says_what_differs_from_the_commit(workspace: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], check=True)
    text = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(
        text.replace("  lr: 8e-4", "  lr: 2e-6").replace("devices: 1", "devices: 2")
    )
    with (workspace / "stages/toy.py").open("a") as script:
        script.write("# a remark\n")
    seen: list[Stage] = []
    assert execute(seen.append) == 0
    client = open_store().client
    run = client.get_run(seen[0].run.id)
    assert run.info.run_name == "toy · align.lr=2e-06"
    assert "| align.lr | 0.0008 | 2e-06 |" in run.data.tags["mlflow.note.content"]
    assert "devices" not in run.data.tags["mlflow.note.content"]
    assert run.data.tags["git_dirty"] == "true"
    patch = Path(client.download_artifacts(run.info.run_id, "environment/changes.diff")).read_text()
    assert "+# a remark" in patch
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.git.commit"} <= run.data.tags.keys()
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("data", content_hash(workspace / "data")[:36])


def test_the_weights_started_from_are_recorded(workspace: Path) -> None:
    (workspace / "dvc.yaml").write_text(DVC.replace("align.lr", "diffusion.init_from"))
    text = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(
        text.replace("diffusion:\n  init_from: ''", "diffusion:\n  init_from: data")
    )
    (workspace / "data/config.json").write_text("{}")
    seen: list[Stage] = []
    assert execute(seen.append) == 0
    tags = open_store().client.get_run(seen[0].run.id).data.tags
    assert tags["diffusion.init_from.sha256"] == content_hash(workspace / "data")


def test_the_body_gets_its_settings(workspace: Path) -> None:
    def body(stage: Stage) -> None:
        assert (stage.name, stage.seed, stage.runtime.device) == ("toy", 0, "auto")
        assert stage.scratch.is_dir()
        assert stage.settings("align", AlignSettings).lr > 0
        with pytest.raises(AttributeError):
            _ = stage.settings("align", AlignSettings).decoder_lr  # which the stage does not track
        stage.settings("align", AlignRate)

    assert execute(body) == 2  # AlignRate knows one key of many


def test_a_user_error_is_one_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def body(stage: Stage) -> None:
        raise UserError("photo.png: is broken; replace it")

    assert execute(body) == 2
    assert capsys.readouterr().err.splitlines() == ["error: photo.png: is broken; replace it"]
    assert [status for _, status in runs(open_store())] == ["FAILED"]
    assert not (workspace / "runs/toy.json").exists()


def test_what_mlflow_refuses_is_one_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(lambda stage: stage.store.client.get_run("0" * 32) and None) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the tracking store: Run with id=000")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("params.yaml", "seed: 0", "seed: -1", "params.yaml: seed:"),
        ("params.yaml", "seed: 0", "seed: 0.5", "params.yaml: seed:"),
        ("params.yaml", "threads: 0", "thread: 0", "runtime.thread: unknown key; did you mean threads"),
        (
            "params.yaml",
            "mlflow_uri: ''",
            "mlflow_uri: http://127.0.0.1:9",
            "127.0.0.1:9: the tracking server",
        ),
        ("dvc.yaml", "toy:", "other:", "dvc.yaml: stages.toy: is missing"),
        ("data/a.txt", "1", None, "data: is missing"),
        ("mlflow.db", None, "garbage", "mlflow.db: is not a usable MLflow database"),
    ],
)
def test_no_work_is_done_on_a_bad_start(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str | None,
    new: str | None,
    message: str,
) -> None:
    path = workspace / file
    if new is None:
        shutil.rmtree(path.parent)
    else:
        path.write_text(new if old is None else path.read_text().replace(old, new, 1))
    assert execute(lambda stage: pytest.fail("the body ran")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


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


def start(workspace: Path, seen: Path, **environment: str) -> subprocess.Popen[bytes]:
    source = Path(__file__).parents[2] / "src"
    variables = {**os.environ, "PYTHONPATH": str(source), "SEEN": str(seen), **environment}
    return subprocess.Popen(
        [sys.executable, "stages/toy.py"], cwd=workspace, env=variables, start_new_session=True
    )


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


@pytest.mark.slow
def test_processes_may_meet_on_a_fresh_store(workspace: Path) -> None:
    (workspace / "mlflow.db").unlink()
    seen = [workspace / f"seen{index}" for index in range(3)]
    started = [start(workspace, path) for path in seen]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    ids = {path.read_text().split()[0] for path in seen}
    assert {run_id for run_id, _ in runs(open_store())} == ids
    assert len(ids) == 3
    assert states(workspace) == []
