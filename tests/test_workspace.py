from pathlib import Path

import pytest

from arbiscale.workspace import find_folder, repository_root


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's folder below its root; the working directory."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    inside = tmp_path / "repository" / "some" / "folder"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    return inside


def test_outside_of_any_project_it_is_the_working_directory(folder: Path) -> None:
    assert repository_root() == folder


def test_it_is_the_nearest_folder_upwards_with_a_pipeline(folder: Path) -> None:
    (folder.parents[2] / "dvc.yaml").touch()
    (folder.parents[1] / "dvc.yaml").touch()
    assert repository_root() == folder.parents[1]


def test_dvc_names_the_repository_from_its_temporary_workspaces(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dvc.yaml").touch()  # the workspace's copy
    monkeypatch.setenv("DVC_ROOT", str(folder / ".."))
    assert repository_root() == folder.parent


def test_pretrained_is_the_shipped_model(folder: Path) -> None:
    assert (find_folder("pretrained") / "config.json").is_file()
    (folder / "pretrained").mkdir()
    assert find_folder("./pretrained") == Path("pretrained")
