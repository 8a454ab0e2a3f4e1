"""Photographs of the installed packages and of the user's folder."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.config.data import DataSettings, FolderSettings
from arbiscale.config.section import read_yaml
from arbiscale.data.manifest import PHOTOGRAPHS, read_record
from arbiscale.data.sources import bundled, fetch, folder
from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image

VALUES = read_yaml(Path(__file__).parents[3] / "params.yaml")["data"]


def test_bundled_photographs_are_real_and_described(tmp_path: Path):
    fetched = fetch(DataSettings.model_validate(VALUES | {"source": "bundled"}), tmp_path / "raw")
    assert fetched == read_record(tmp_path / "raw")
    scenes = "astronaut chelsea coffee rocket motorcycle retina hubble ihc china flower"
    assert sorted({str(photograph.scene) for photograph in fetched}) == sorted(scenes.split())
    assert sum(photograph.scene == "motorcycle" for photograph in fetched) == 2
    for photograph in fetched:
        path = photograph.path(tmp_path / "raw")
        assert photograph.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert photograph.licence
        assert photograph.attribution
        pixels = read_image(path)
        assert min(pixels.shape[:2]) >= 300
        assert (pixels.max(axis=-1) - pixels.min(axis=-1)).mean() > 4  # colour
    assert {each.scene for each in fetched if each.unfit_for_test} == {"retina", "hubble", "ihc"}


def test_bundled_imports_neither_package():
    code = (
        "import sys, arbiscale.data.sources as sources, pathlib, tempfile\n"
        "sources.bundled.fetch(pathlib.Path(tempfile.mkdtemp()))\n"
        "print({'skimage', 'sklearn', 'scipy', 'torch', 'boto3', 'albumentations'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"astronaut\.png: not installed; run `pip install .* scikit-image`"):
        bundled.fetch(tmp_path)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A user's folder: pictures at two depths, other files, hidden ones."""
    below = tmp_path / "mixed/holiday/day one"
    below.mkdir(parents=True)
    (tmp_path / "mixed/.thumbnails").mkdir()
    image = Image.new("RGB", (8, 8), "red")
    for name in ("a.png", "B.JPG", "holiday/c.jpeg", "holiday/day one/d.webp", "e.tiff", "f.tif"):
        image.save(tmp_path / "mixed" / name)
    for name in ("notes.txt", "movie.gif", "._a.png", ".thumbnails/a.png"):
        (tmp_path / "mixed" / name).write_bytes(b"x")
    return tmp_path / "mixed"


def test_folder_is_searched_recursively(mixed: Path, tmp_path: Path):
    settings = DataSettings.model_validate(VALUES | {"source": "folder", "folder": {"path": str(mixed)}})
    fetched = fetch(settings, tmp_path / "raw")
    names = [photograph.name for photograph in fetched]
    assert names == ["B.JPG", "a.png", "e.tiff", "f.tif", "holiday/c.jpeg", "holiday/day one/d.webp"]
    for photograph in fetched:
        copy = photograph.path(tmp_path / "raw")
        assert copy.read_bytes() == (mixed / photograph.name).read_bytes()
        assert photograph.sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()
        assert photograph.scene is photograph.unfit_for_test is None
    assert str(mixed) not in (tmp_path / "raw/sources.json").read_text()


def test_what_cannot_be_used_is_left_out_and_said(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (mixed / "broken.png").symlink_to("nowhere.png")
    (mixed / os.fsdecode(b"lat\xe4in.png")).write_bytes((mixed / "a.png").read_bytes())
    os.mkfifo(mixed / "pipe.png")
    (tmp_path / "copies").mkdir()
    assert len(folder.fetch(FolderSettings(path=str(mixed)), tmp_path / "copies")) == 6
    said = capsys.readouterr().out
    for reason in ("1 broken links", "1 no regular files", "1 with names that are no UTF-8", "2 hidden"):
        assert reason in said


def test_relative_folder_counts_from_the_repository(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as in a temporary experiment
    monkeypatch.setenv("DVC_ROOT", str(mixed.parent))
    copies = tmp_path / "copies"
    copies.mkdir()
    assert len(folder.fetch(FolderSettings(path="mixed"), copies)) == 6


def test_folder_refusals_leave_what_was_there(mixed: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "raw" / PHOTOGRAPHS).mkdir(parents=True)
    for path, reason in {
        str(tmp_path / "absent"): "no such folder",
        str(mixed / "notes.txt"): "is not a folder",
        str(tmp_path / "empty"): "holds no picture",
        str(tmp_path): "also holds the pipeline's own pictures",
    }.items():
        settings = DataSettings.model_validate(VALUES | {"source": "folder", "folder": {"path": path}})
        with pytest.raises(UserError) as caught:
            fetch(settings, tmp_path / "raw")
        assert str(caught.value).startswith(f"data.folder.path: {path}: {reason}")
        assert "\n" not in str(caught.value)
        assert [entry.name for entry in (tmp_path / "raw").iterdir()] == [PHOTOGRAPHS]
