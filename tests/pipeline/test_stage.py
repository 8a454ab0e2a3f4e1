"""What a stage is given, what is recorded of it, and what it does no work on."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import Field

from arbiscale.config.align import AlignSettings
from arbiscale.config.section import Section, look_up, read_yaml
from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.pipeline.fingerprint import stage_inputs
from arbiscale.pipeline.stage import Stage
from arbiscale.tracking.store import open_store

from .toy_stage import DVC, execute, runs, start, states

PARAMS = Path(__file__).parents[2] / "params.yaml"


class AlignRate(Section):
    lr: float = Field(gt=0)


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
