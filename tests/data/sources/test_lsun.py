"""LSUN, read in its databases."""

import hashlib
import multiprocessing
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import SimpleNamespace

import pytest

from arbiscale.data import downloads
from arbiscale.data.sources import published
from arbiscale.data.sources.published import PUBLISHED, Part
from arbiscale.errors import UserError
from tests.data.sources.fetching import picture, source, zipped
from tests.data.web_server import WebServer

pytestmark = pytest.mark.usefixtures("quick")


def make_database(folder: Path, pictures: dict[str, bytes]) -> Path:
    """As LSUN's: keys of hexadecimal digits, WebP files."""
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, content in pictures.items():
            transaction.put(key.encode(), content)
    return folder


@pytest.fixture
def _small_tower(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LSUN's towers, three of 8 px for training and three for testing."""
    parts = []
    for number, part in enumerate(PUBLISHED["lsun_tower"]):
        keys = [hashlib.sha1(bytes([number, index])).hexdigest() for index in range(3)]
        made = make_database(
            tmp_path / part.folder, {key: picture(index, "WEBP") for index, key in enumerate(keys)}
        )
        files = {f"{part.folder}/{each}": (made / each).read_bytes() for each in ("data.mdb", "lock.mdb")}
        server.files[f"/{part.file}"] = zipped(files)
        parts.append(
            Part(
                part.file,
                part.folder,
                part.terms,
                f"{server.url}/{part.file}",
                split=part.split,
                database=True,
            )
        )
    monkeypatch.setitem(PUBLISHED, "lsun_tower", tuple(parts))


@pytest.mark.usefixtures("_small_tower")
def test_two_processes_fetch_and_unpack_a_database_once(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = published.unpack

    def slowly(path: Path, name: str, target: Path) -> None:
        sleep(0.5)  # the other one is waiting meanwhile
        unpack(path, name, target)

    monkeypatch.setattr(published, "unpack", slowly)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=source("lsun_tower").list) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    for part in PUBLISHED["lsun_tower"]:
        assert len(server.sent(f"/{part.file}")) == 2, "size and content, once"


@pytest.mark.usefixtures("_small_tower")
def test_the_disk_must_take_a_database_and_its_archive(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [len(server.files[f"/{part.file}"]) for part in PUBLISHED["lsun_tower"]]
    parts = [replace(part, size=size) for part, size in zip(PUBLISHED["lsun_tower"], sizes, strict=True)]
    monkeypatch.setitem(PUBLISHED, "lsun_tower", tuple(parts))
    monkeypatch.setattr(downloads, "_SPARE_BYTES", 0)
    monkeypatch.setattr(
        downloads.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * sum(sizes) - 1, total=0, used=0)
    )
    with pytest.raises(UserError, match=r" are to be fetched, .* to be unpacked and .* are free"):
        source("lsun_tower").list()
    assert {asked for _, asked in server.requests} == {"bytes=0-0"}


@pytest.mark.usefixtures("_small_tower")
def test_lsun_is_read_in_its_database(server: WebServer, tmp_path: Path) -> None:
    chosen = source("lsun_tower")
    entries = chosen.list().entries
    assert [each.split for each in entries] == [None] * 3 + ["test"] * 3
    key = hashlib.sha1(bytes([0, 2])).hexdigest()
    assert chosen.read(f"tower_train_lmdb/{key}.webp") == picture(2, "WEBP")
    assert sorted(path.name for path in (tmp_path / "downloads").glob("[!.]*")) == [
        "tower_train_lmdb",
        "tower_val_lmdb",
    ]
    assert [path.name for path in (tmp_path / "downloads/tower_val_lmdb").iterdir()] == ["data.mdb"]
    (tmp_path / "list.txt").write_text(f"{key}.webp\n")
    few = source("lsun_tower", downloads={"names": "list.txt"}).list().entries
    assert few[0].name == f"tower_train_lmdb/{key}.webp"
    assert len(few) == 4


def test_a_damaged_database_is_said(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    for part in PUBLISHED["lsun_tower"]:
        (tmp_path / "downloads" / part.folder).mkdir(parents=True)
        (tmp_path / "downloads" / part.folder / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"tower_train_lmdb: is no database that can be read \("):
        source("lsun_tower").list()
