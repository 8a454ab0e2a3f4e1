"""A repository that is moved or copied keeps its pictures and models, and writes to no other place."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from arbiscale.errors import UserError
from arbiscale.inference import serving
from arbiscale.tracking.registry import challenge, resolve
from arbiscale.tracking.store import Store, open_store

PIXELS = np.full((2, 2, 3), 7, np.uint8)


@pytest.fixture
def repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a run, its picture and a registered model; its name has a space and an umlaut."""
    folder = project / "first plaçe"
    folder.mkdir()
    for name in ("mlflow.db", "dvc.yaml"):
        shutil.move(project / name, folder / name)
    monkeypatch.chdir(folder)
    model = folder / "models/packed"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    challenge(open_store(), model, "m", serving)
    record(open_store())
    return folder


def record(store: Store) -> str:
    with store.run("crop", tags={}, params={}) as run:
        run.log_image("a", PIXELS)
    return run.id


def pictures(store: Store) -> list[str]:
    found = [run.info.run_id for run in store.search("tags.stage = 'crop'")]
    return [file.path for run_id in found for file in store.client.list_artifacts(run_id, "images")]


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("copied", [False, True], ids=["moved", "copied"])
def test_nothing_is_lost_and_the_old_place_is_left_alone(
    repository: Path, copied: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pictures(open_store())
    second = repository.with_name("second")
    if copied:
        shutil.copytree(repository, second)
    else:
        monkeypatch.chdir(repository.parent)
        repository.rename(second)
    old = files(repository) if copied else {}
    monkeypatch.chdir(second)
    store = open_store()
    assert f"its files are taken from {second}/mlartifacts" in capsys.readouterr().err
    assert pictures(store) == before
    folder, version = resolve("models:/m@challenger")
    assert folder.is_relative_to(second)
    assert (folder / "config.json").read_text() == "{}"
    assert challenge(store, second / "models/packed", "m", serving) == (version.number, False)
    run_id = record(store)
    assert (second / "mlartifacts" / run_id).is_dir()
    assert len(pictures(open_store())) == 2 * len(before)
    assert capsys.readouterr().err == ""
    if copied:
        assert files(repository) == old
    assert repository.exists() == copied


def test_a_database_without_its_files_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = repository.with_name("second")
    second.mkdir()
    for name in ("mlflow.db", "dvc.yaml"):
        shutil.copy(repository / name, second)
    monkeypatch.chdir(second)
    with pytest.raises(UserError, match=f"copy {repository}/mlartifacts to {second}/mlartifacts"):
        open_store()


def test_a_place_of_another_name_was_chosen_and_stays(repository: Path, tmp_path: Path) -> None:
    chosen = (tmp_path / "elsewhere").as_uri()
    with closing(sqlite3.connect(repository / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'arbiscale'", (chosen,))
    store = open_store()
    assert store.client.get_experiment(store.experiment_id).artifact_location == chosen


def test_paths_that_only_begin_alike_stay(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"{(repository / 'mlartifacts').as_uri()}-more/run/artifacts"
    store = open_store()
    run_id = record(store)
    with closing(sqlite3.connect(repository / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (other, run_id))
    second = repository.with_name("second")
    shutil.copytree(repository, second)
    monkeypatch.chdir(second)
    assert open_store().client.get_run(run_id).info.artifact_uri == other


def test_the_environment_names_the_experiment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    store = open_store()
    assert store.client.get_experiment(store.experiment_id).name == "ours"
    record(store)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    other = open_store()
    assert other.experiment_id != store.experiment_id
    assert len(other.search("tags.stage = 'crop'")) == 1
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", store.experiment_id)
    assert open_store().experiment_id == store.experiment_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    with pytest.raises(UserError, match="77"):
        open_store()


def test_a_registry_elsewhere_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://elsewhere:5000")
    with pytest.raises(UserError, match="MLFLOW_REGISTRY_URI: versions are kept where runs are"):
        open_store()
