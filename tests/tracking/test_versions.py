"""Files of versions: uploaded whole or not at all, downloaded once."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.artifacts
import pytest

from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.inference import serving
from arbiscale.tracking import address, versions
from arbiscale.tracking.registry import challenge
from arbiscale.tracking.store import Store, open_store
from arbiscale.tracking.versions import download_model, find_version


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stands in for a model folder: the registry does not look inside."""
    made = tmp_path / "models/packed"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    return made


def no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))


def no_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copytree", refuse)  # MLflow's way to copy the package


@pytest.mark.parametrize("fail", [no_temporary_folder, no_space])
def test_of_an_upload_that_fails_nothing_is_left(
    store: Store,
    folder: Path,
    fail: Callable[[pytest.MonkeyPatch, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with monkeypatch.context() as patch:
        fail(patch, tmp_path)
        with pytest.raises(UserError, match=f"{folder}: cannot be put into") as caught:
            challenge(store, folder, "m", serving)
    assert "\n" not in str(caught.value)
    assert list(store.client.search_logged_models([store.experiment_id])) == []
    assert challenge(store, folder, "m", serving) == (1, True)


def test_a_servers_model_is_downloaded_once_and_alone(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    challenge(store, folder, "m", serving)
    version = find_version(store, "m", "1")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(versions, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(address, "database_file", lambda uri: None)  # as of a server
    download, asked = mlflow.artifacts.download_artifacts, []

    def counted(uri: str, **places: Any) -> str:
        asked.append(uri)
        return str(download(uri, **places))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", counted)
    assert version is not None
    found = [download_model(store, version) for _ in range(3)]
    assert asked == ["models:/m/1/MLmodel", "models:/m/1/data/packed"]
    assert {content_hash(each) for each in found} == {content_hash(folder)}
    (kept,) = (tmp_path / "cache").iterdir()
    assert {file.name for file in kept.rglob("*") if file.is_file()} == {"MLmodel", "config.json"}
    assert [*temporary.iterdir()] == []
