import ast
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from arbiscale.errors import UserError
from arbiscale.tracking.store import Store, open_store

SOURCE = Path(__file__).parents[2] / "src/arbiscale"


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


def finished(store: Store, stage: str = "crop", **tags: str) -> str:
    with store.run(stage, tags=tags, params={}) as run:
        return run.id


def test_a_fresh_store_is_made_once_and_found_again(project: Path) -> None:
    (project / "mlflow.db").unlink()
    first, second = open_store(), open_store()
    assert first.uri == f"sqlite:///{project}/mlflow.db"
    assert first.experiment_id == second.experiment_id
    experiment = first.client.get_experiment(first.experiment_id)
    assert experiment.name == "arbiscale"
    assert experiment.artifact_location == (project / "mlartifacts").as_uri()


def test_the_store_of_a_temporary_workspace_is_the_repositorys(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(project))
    workspace = tmp_path_factory.mktemp("workspace")
    monkeypatch.chdir(workspace)
    store = open_store()
    with store.run("crop", tags={}, params={}) as run:
        run.log_image("a", np.zeros((2, 2, 3), np.uint8))
    assert store.uri == f"sqlite:///{project}/mlflow.db"
    assert (project / "mlartifacts" / run.id).is_dir()
    assert list(workspace.iterdir()) == []


def test_a_database_of_another_version_is_left_alone(project: Path) -> None:
    file = project / "mlflow.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'newer'")
    before = file.read_bytes()
    with pytest.raises(UserError, match=rf"{file}: .*out-of-date database schema"):
        open_store()
    assert file.read_bytes() == before


def test_an_unreachable_server_is_one_line(project: Path) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9.*cannot be reached"):
        open_store("http://127.0.0.1:9")


def test_stores_that_mlflow_refuses_are_one_line(project: Path) -> None:
    with pytest.raises(UserError, match=r"ftp://nowhere") as caught:
        open_store("ftp://nowhere/x")
    assert "\n" not in str(caught.value)


def test_a_folder_that_takes_no_files_is_one_line_before_a_run_begins(store: Store, project: Path) -> None:
    (project / "mlartifacts").write_text("a file stands where files of runs go")
    with pytest.raises(UserError, match=rf"{project}/mlartifacts: takes no files of runs"):
        finished(store)
    assert store.search("") == []


def test_a_deleted_experiment_is_one_line(store: Store) -> None:
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(UserError, match="experiment arbiscale was deleted"):
        open_store()


@pytest.mark.parametrize(
    ("error", "status", "tag"),
    [
        (KeyboardInterrupt(), "KILLED", None),
        (RuntimeError("first\nsecond"), "FAILED", "RuntimeError: first"),
        (UserError("a.png: broken"), "FAILED", "UserError: a.png: broken"),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
    ],
)
def test_how_a_run_ends(store: Store, error: BaseException, status: str, tag: str | None) -> None:
    with pytest.raises(type(error)), store.run("crop", tags={}, params={}) as run:
        raise error
    found = store.client.get_run(run.id)
    assert found.info.status == status
    assert found.data.tags.get("error") == tag
    assert found.info.end_time is not None


def test_an_interrupted_run_goes_on(store: Store) -> None:
    with suppress(RuntimeError), store.run("crop", tags={}, params={"seed": 1}) as first:
        first.log_metrics({"loss": 2.0}, step=1)
        raise RuntimeError
    with store.run("crop", tags={}, params={"seed": 1, "new": 2}, resume_id=first.id) as second:
        assert store.client.get_run(first.id).info.status == "RUNNING"
        second.log_params({"seed": 99})
        second.log_metrics({"loss": 1.0}, step=2)
    assert (second.id, second.started, second.resumed) == (first.id, first.started, True)
    found = store.client.get_run(first.id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"seed": "1", "new": "2"}
    assert "error" not in found.data.tags
    assert [point.step for point in store.client.get_metric_history(first.id, "loss")] == [1, 2]


def test_unknown_and_deleted_runs_are_not_resumed(store: Store) -> None:
    deleted = finished(store)
    store.client.delete_run(deleted)
    for gone in ("0" * 32, deleted):
        with store.run("crop", tags={}, params={}, resume_id=gone) as run:
            assert run.id != gone
            assert not run.resumed
        assert store.find(gone) is None


def test_system_metrics_are_sampled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    wanted = "system/system_memory_usage_percentage"
    with store.run("crop", tags={}, params={}) as run:
        for _ in range(100):
            if wanted in store.client.get_run(run.id).data.metrics:
                break
            subprocess.run(["sleep", "0.05"], check=True)
    assert 0 < store.client.get_run(run.id).data.metrics[wanted] <= 100


def test_this_room_alone_imports_mlflow() -> None:
    importers = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            if any(name.split(".")[0] == "mlflow" for name in names):
                importers.add(file.relative_to(SOURCE).as_posix())
    assert {file.partition("/")[0] for file in importers} == {"tracking"}


def test_the_frame_imports_neither_mlflow_nor_torch() -> None:
    command = (
        "import sys, arbiscale.pipeline.stage, arbiscale.cli.registry; "
        "print({'mlflow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
