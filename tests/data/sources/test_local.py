"""Photographs of the installed packages and of the user's folder."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.config.data import DataSettings
from arbiscale.config.section import read_yaml
from arbiscale.data.sources import open_source
from arbiscale.data.sources.bundled import Bundled
from arbiscale.data.sources.source import Source
from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image

VALUES = read_yaml(Path(__file__).parents[3] / "params.yaml")["data"]


def test_bundled_photographs_are_real_and_described():
    source = open_source(DataSettings.model_validate(VALUES | {"source": "bundled"}))
    listed = source.list().entries
    scenes = "astronaut chelsea coffee rocket motorcycle retina hubble ihc china flower"
    assert sorted({str(entry.scene) for entry in listed}) == sorted(scenes.split())
    assert sum(entry.scene == "motorcycle" for entry in listed) == 2
    for entry in listed:
        assert entry.licence
        assert entry.attribution
        content = source.read(entry.name)
        assert len(content) == entry.size
        pixels = read_image(io.BytesIO(content))
        assert min(pixels.shape[:2]) >= 300
        assert (pixels.max(axis=-1) - pixels.min(axis=-1)).mean() > 4  # colour
    assert {each.scene for each in listed if each.unfit_for_test} == {"retina", "hubble", "ihc"}


def test_bundled_imports_neither_package():
    code = (
        "import sys, arbiscale.data.sources.bundled as bundled\n"
        "bundled.Bundled().list()\n"
        "print({'skimage', 'sklearn', 'scipy', 'torch', 'boto3', 'albumentations'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"astronaut\.png: not installed; run `pip install .* scikit-image`"):
        Bundled().list()


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


def folder(path: Path | str) -> Source:
    return open_source(
        DataSettings.model_validate(VALUES | {"source": "folder", "folder": {"path": str(path)}})
    )


def test_folder_is_searched_recursively_and_not_copied(mixed: Path):
    source = folder(mixed)
    listed = source.list().entries
    names = [entry.name for entry in listed]
    assert names == ["B.JPG", "a.png", "e.tiff", "f.tif", "holiday/c.jpeg", "holiday/day one/d.webp"]
    for entry in listed:
        original = mixed / entry.name
        assert source.read(entry.name) == original.read_bytes()
        assert (entry.size, entry.origin) == (original.stat().st_size, entry.name)
        assert entry.scene is entry.unfit_for_test is None


def test_what_cannot_be_used_is_rejected_or_left_out_and_said(mixed: Path):
    (mixed / "broken.png").symlink_to("nowhere.png")
    (mixed / os.fsdecode(b"lat\xe4in.png")).write_bytes((mixed / "a.png").read_bytes())
    os.mkfifo(mixed / "pipe.png")
    listing = folder(mixed).list()
    assert len(listing.entries) == 6
    assert {each.source: each.reason for each in listing.rejected} == {
        "broken.png": "is a broken link",
        "pipe.png": "is no regular file",
        "lat\\udce4in.png": "has a name that is no UTF-8; rename it",
    }
    assert "2 hidden" in listing.left_out
    assert "2 of other suffixes" in listing.left_out


def test_a_photograph_that_may_not_be_read_is_rejected_until_it_may(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
):
    before = folder(mixed).state()
    with monkeypatch.context() as patch:  # who runs tests may read everything
        patch.setattr("os.access", lambda path, mode: Path(path).name != "a.png")
        listing = folder(mixed).list()
        assert folder(mixed).state() != before  # `dvc repro` notices
    assert len(listing.entries) == 5
    assert [(each.source, each.reason) for each in listing.rejected] == [
        ("a.png", "cannot be read; check its permissions")
    ]


def test_relative_folder_counts_from_the_repository(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as in a temporary experiment
    monkeypatch.setenv("DVC_ROOT", str(mixed.parent))
    assert len(folder("mixed").list().entries) == 6


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_of_ones_own_is_read_in_place(mixed: Path, tmp_path: Path, kind: str):
    path = Path(shutil.make_archive(str(tmp_path / "own"), kind, mixed))
    source = folder(path)
    listed = source.list().entries
    names = ["B.JPG", "a.png", "e.tiff", "f.tif", "holiday/c.jpeg", "holiday/day one/d.webp"]
    assert [entry.name for entry in listed] == names
    assert [source.read(name) for name in names] == [(mixed / name).read_bytes() for name in names]
    assert listed[-1].origin == f"{path.name}/holiday/day one/d.webp"
    state = source.state()
    assert folder(path).state() == state
    (mixed / "g.png").write_bytes((mixed / "a.png").read_bytes())
    shutil.make_archive(str(tmp_path / "own"), kind, mixed)
    assert folder(path).state() != state
    (tmp_path / "none").mkdir()
    shutil.make_archive(str(tmp_path / "own"), kind, tmp_path / "none")
    with pytest.raises(UserError, match=rf"^{path}: holds no picture .*; remove it, or name another$"):
        folder(path).list()


def test_folder_refusals(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for path, reason in {
        str(tmp_path / "absent"): "no such folder",
        str(mixed / "notes.txt"): "is neither a folder nor an archive",
        str(tmp_path / "empty"): "holds no picture",
        str(tmp_path): "also holds the pipeline's own pictures",
    }.items():
        with pytest.raises(UserError) as caught:
            folder(path).list()
        assert str(caught.value).startswith(f"data.folder.path: {path}: {reason}")
        assert "\n" not in str(caught.value)
