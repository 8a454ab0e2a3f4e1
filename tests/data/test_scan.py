"""What is read of a source, and what is said of it."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.config.data import FolderSettings
from arbiscale.data.index import Index, open_index
from arbiscale.data.manifest import read_record
from arbiscale.data.parallel import in_threads
from arbiscale.data.scan import changes, scan, summary
from arbiscale.data.sources.folder import Folder
from arbiscale.errors import UserError
from arbiscale.files import sha256_of
from arbiscale.imaging.reading import read_image


class Counting(Folder):
    """Notes what is read; fails at a photograph."""

    def __init__(self, path: Path, failing: str = "") -> None:
        super().__init__(FolderSettings(path=str(path)))
        self.seen: list[str] = []
        self.failing = failing

    def read(self, name: str) -> bytes:
        if name == self.failing:
            raise UserError("the place is gone")
        self.seen.append(name)
        return super().read(name)


def test_the_record_says_what_the_files_are(own: Path, tmp_path: Path, index: Index) -> None:
    record, found = scan(Counting(own), tmp_path / "raw", index, "code")
    assert record == read_record(tmp_path / "raw")
    assert [each.name for each in record.photographs] == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert summary(found, record.rejected) == "+5, -0, none rejected"
    for each in record.photographs:
        assert each.sha256 == sha256_of(own / each.name)
        assert (each.height, each.width) == read_image(own / each.name).shape[:2]
        assert len(int(each.perceptual_hash, 16).to_bytes(8)) == 8
    assert str(tmp_path) not in (tmp_path / "raw/sources.json").read_text()


def test_only_what_is_new_or_changed_is_read(own: Path, tmp_path: Path, index: Index) -> None:
    scan(Counting(own), tmp_path / "raw", index, "code")
    shutil.copy(own / "a.png", own / "f.png")
    (own / "e.png").unlink()
    (own / "d.png").write_bytes(b"damaged")
    (own / "g.png").symlink_to("nowhere")
    source = Counting(own)
    record, found = scan(source, tmp_path / "raw", index, "code")
    assert sorted(source.seen) == ["d.png", "f.png"]
    assert summary(found, record.rejected) == (
        "+1, -1, 1 changed, 2 rejected (d.png: is not a picture that can be read (PNG, JPEG, WebP, TIFF, "
        "AVIF, GIF, BMP); g.png: is a broken link)"
    )
    again = Counting(own)
    assert scan(again, tmp_path / "raw", index, "code")[0] == record
    assert again.seen == []
    scan(again, tmp_path / "raw", index, "other code")
    assert len(again.seen) == 5


def test_a_touched_photograph_changes_no_record(own: Path, tmp_path: Path, index: Index) -> None:
    source = Counting(own)
    scan(source, tmp_path / "raw", index, "code")
    before, state = (tmp_path / "raw/sources.json").read_bytes(), source.state()
    os.utime(own / "c.png", ns=(1, 1))
    assert source.state() != state
    scan(source, tmp_path / "raw", index, "code")
    assert source.seen.count("c.png") == 2
    assert (tmp_path / "raw/sources.json").read_bytes() == before


def test_an_interrupted_scan_goes_on(own: Path, tmp_path: Path, index: Index) -> None:
    with pytest.raises(UserError, match="the place is gone"):
        scan(Counting(own, failing="d.png"), tmp_path / "raw", index, "code")
    assert not (tmp_path / "raw").exists()
    source = Counting(own)
    scan(source, tmp_path / "raw", index, "code")
    assert source.seen == ["d.png", "e.png"]


def test_two_processes_share_an_index(own: Path, tmp_path: Path, index: Index) -> None:
    with open_index(tmp_path / "index.db") as other:
        scan(Counting(own), tmp_path / "raw", index, "code")
        source = Counting(own)
        scan(source, tmp_path / "raw", other, "code")
        assert source.seen == []


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"no database" * 100)
    with (
        pytest.raises(UserError, match=r"index\.db: cannot be used \(.*\); delete it"),
        open_index(tmp_path / "index.db"),
    ):
        pass


def test_pictures_that_look_alike_have_near_hashes(own: Path, tmp_path: Path, index: Index) -> None:
    Image.open(own / "a.png").resize((48, 48)).save(own / "small.jpg", quality=80)
    record, _ = scan(Counting(own), tmp_path / "raw", index, "code")
    hashes = {each.name: int(each.perceptual_hash, 16) for each in record.photographs}
    distances = {name: (hashes["a.png"] ^ value).bit_count() for name, value in hashes.items()}
    assert distances["small.jpg"] <= 6 < min(distances[name] for name in ("b.png", "c.png", "d.png", "e.png"))


def test_changes_are_counted_without_reading(own: Path, tmp_path: Path, index: Index) -> None:
    source = Counting(own)
    assert str(changes(source.list(), index.known(source.key))) == "+5, -0"
    scan(source, tmp_path / "raw", index, "code")
    assert not changes(source.list(), index.known(source.key))


def test_threads_keep_the_order_and_few_results() -> None:
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        return task * task

    results = in_threads(work, range(1000), 2)
    assert next(results) == 0
    assert len(begun) < 30
    assert list(results) == [task * task for task in range(1, 1000)]
