"""What is read of a source, and what is said of it."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.config.data import FolderSettings
from arbiscale.data.examination import Facts
from arbiscale.data.index import Index, open_index
from arbiscale.data.manifest import read_record
from arbiscale.data.parallel import in_threads
from arbiscale.data.scan import changes, scan, summary
from arbiscale.data.sources.folder import Folder
from arbiscale.data.sources.source import Entry, Listing
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


def test_a_killed_process_loses_but_the_last_second(tmp_path: Path) -> None:
    """What was added reaches the file without being closed: one row at a time cost a commit each."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from arbiscale.data.index import open_index\n"
        "from arbiscale.data.sources.source import Entry\n"
        "with open_index(Path(sys.argv[1])) as index:\n"
        "    for number in range(2100):\n"
        "        index.add('folder', Entry(f'{number:04d}.png', 1, '1', ''), 'code', None, 'is damaged')\n"
        "    print('added', flush=True)\n"
        "    time.sleep(1.1)\n"
        "    index.add('folder', Entry('last.png', 1, '1', ''), 'code', None, 'is damaged')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "killed.db"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"added\n"
    with open_index(tmp_path / "killed.db") as index:
        assert len([*index.known("folder")]) >= 2000
    assert process.wait(30) == -9
    process.stdout.close()
    with open_index(tmp_path / "killed.db") as index:
        names = [name for name, _ in index.known("folder")]
    assert len(names) == 2101
    assert names[-1] == "last.png"


def test_commits_are_few(own: Path, tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(
        index, "write", lambda write=index.write: written.append(len(index._added)) or write()
    )
    scan(Counting(own), tmp_path / "raw", index, "code")
    assert [count for count in written if count] == [5]


def test_memory_does_not_grow_with_what_is_known(tmp_path: Path) -> None:
    """200,000 photographs took a kilobyte each."""
    facts = Facts("0" * 64, 64, 64, "0" * 64, "0" * 16, "#808080", 1.0, 90)
    entries = [Entry(f"{number:06d}.jpg", 1, "1", "") for number in range(20_000)]
    with open_index(tmp_path / "many.db") as index:
        for entry in entries:
            index.add("many", entry, "code", facts)
        index.write()
        tracemalloc.start()
        found = changes(Listing(entries), index.known("many"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not found
    assert peak < 2**20  # 20 MiB with all facts at once


def test_names_are_compared_in_their_order(tmp_path: Path) -> None:
    """As SQLite and a listing have them: beyond ASCII, and one name within another."""
    names = sorted(
        ["a.png", "a/b.png", "ä.png", "a b.png", "Z.png", "\U0001f600.png", "\uff41.png", "a.png.png"]
    )
    with open_index(tmp_path / "names.db") as index:
        for name in names[::2]:
            index.add("here", Entry(name, 1, "1", ""), "code", None, "is damaged")
        for name in ("A.png", "\U0010ffff.png"):
            index.add("here", Entry(name, 1, "1", ""), "code", None, "is damaged")
        listed = [Entry(name, 1, "2" if name == "a.png" else "1", "") for name in names]
        found = changes(Listing(listed), index.known("here"))
    assert found.added == names[1::2]
    assert found.removed == ["A.png", "\U0010ffff.png"]
    assert found.changed == [name for name in names[::2] if name == "a.png"]


def test_another_process_with_other_code_is_named(own: Path, tmp_path: Path, index: Index) -> None:
    class Meddling(Counting):
        def read(self, name: str) -> bytes:
            if name == "e.png":
                with open_index(tmp_path / "index.db") as other:
                    scan(Counting(own), tmp_path / "other", other, "other code")
            return super().read(name)

    scan(Counting(own), tmp_path / "raw", index, "code")
    (own / "e.png").touch()
    with pytest.raises(UserError, match=r"a\.png: another process read or forgot it meanwhile; run"):
        scan(Meddling(own), tmp_path / "raw", index, "code")


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
