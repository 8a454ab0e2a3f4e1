"""Sources that are fetched first: addresses, published data sets, the hub."""

import hashlib
import io
import multiprocessing
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from arbiscale.config.data import DataSettings, PublishedName
from arbiscale.config.section import read_yaml
from arbiscale.data import connections, downloads
from arbiscale.data.index import Index
from arbiscale.data.manifest import Rejected
from arbiscale.data.scan import scan
from arbiscale.data.sources import open_source, published
from arbiscale.data.sources.published import PUBLISHED, Part
from arbiscale.data.sources.source import Source
from arbiscale.data.split import split_scenes
from arbiscale.errors import UserError
from tests.data.web_server import WebServer, serving

VALUES = read_yaml(Path(__file__).parents[3] / "params.yaml")["data"]


def picture(seed: int, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture
def server() -> Iterator[WebServer]:
    photos = zipped({"day/1.png": picture(1), "day/2.png": picture(2), "readme.txt": b"x", "../up.png": b"x"})
    with serving({"/photos.zip": photos, "/3.png": picture(3)}) as server:
        yield server


def source(name: str, **sections: dict[str, Any]) -> Source:
    values = VALUES | {"source": name}
    return open_source(DataSettings.model_validate(values | {k: VALUES[k] | v for k, v in sections.items()}))


def test_addresses_of_archives_and_pictures(server: WebServer, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(server.files["/photos.zip"]).hexdigest()
    addresses = [f"{server.url}/photos.zip#sha256={sha256}", f"{server.url}/3.png?signature=secret"]
    chosen = source("urls", urls={"addresses": addresses})
    assert chosen.pending() == "photos.zip, 3.png"
    state = chosen.state()
    assert not server.requests
    listing = chosen.list()
    assert chosen.pending() == ""
    assert chosen.state() == state
    assert [each.name for each in listing.entries] == ["3.png", "photos/day/1.png", "photos/day/2.png"]
    assert [(each.source, each.reason) for each in listing.rejected] == [
        ("photos/../up.png", "its name leads out of the archive")
    ]
    assert [chosen.read(each.name) for each in listing.entries] == [picture(3), picture(1), picture(2)]
    assert listing.entries[0].origin == f"{server.url}/3.png"
    assert listing.entries[1].origin == f"{server.url}/photos.zip/day/1.png"
    asked = len(server.requests)
    again = source("urls", urls={"addresses": addresses})
    assert again.read("photos/day/2.png") == picture(2)  # as the stage `crop`, in another process
    assert len(server.requests) == asked


def test_a_file_of_another_address_is_not_taken_for_one_of_the_same_name(server: WebServer) -> None:
    server.files["/other/photos.zip"] = zipped({"4.png": picture(4)})
    for path, first in {"photos.zip": "photos/day/1.png", "other/photos.zip": "photos/4.png"}.items():
        chosen = source("urls", urls={"addresses": [f"{server.url}/{path}"]})
        assert chosen.pending() == "photos.zip"
        assert chosen.list().entries[0].name == first
    assert source("urls", urls={"addresses": [f"{server.url}/photos.zip"]}).pending() == ""


def test_addresses_are_refused_in_one_line(server: WebServer) -> None:
    def message(*addresses: str) -> str:
        with pytest.raises(UserError) as caught:
            source("urls", urls={"addresses": list(addresses)}).list()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "movie.mp4: is neither a picture nor an archive" in message(f"{server.url}/movie.mp4?secret=1")
    assert "two files are called a; name one" in message(f"{server.url}/a.zip", f"{server.url}/b/a.tar")
    assert "/%2e./b.zip: its path leads elsewhere" in message(f"{server.url}/a/../%2e./b.zip")
    server.files["/empty.zip"] = zipped({"readme.txt": b"x"})
    found = message(f"{server.url}/empty.zip")
    assert "/empty.zip: holds no picture (.avif, .bmp," in found
    assert found.endswith("; remove it, or name another")


def test_what_is_damaged_in_an_archive_is_rejected(server: WebServer, tmp_path: Path, index: Index) -> None:
    good = zipped({"1.png": picture(1), "2.png": picture(2), "3.png": b"no picture"})
    server.files["/photos.zip"] = good.replace(picture(2)[-20:], bytes(20))
    chosen = source("urls", urls={"addresses": [f"{server.url}/photos.zip"]})
    record, _ = scan(chosen, tmp_path / "raw", index, "code")
    assert [each.name for each in record.photographs] == ["photos/1.png"]
    assert [each.source for each in record.rejected] == ["photos/2.png", "photos/3.png"]
    assert record.rejected[0].reason.startswith("is damaged in its archive (Bad CRC-32")


@pytest.fixture
def _small_div2k(monkeypatch: pytest.MonkeyPatch, server: WebServer) -> None:
    """DIV2K's archives, of pictures of 8 px."""
    parts = []
    for number, part in enumerate(PUBLISHED["div2k"]):
        content = zipped(
            {f"{part.folder}/{number}{index}.png": picture(10 * number + index) for index in (1, 2)}
        )
        server.files[f"/set/{part.file}"] = content
        sha256 = hashlib.sha256(content).hexdigest()
        parts.append(Part(part.file, part.folder, part.terms, None, len(content), sha256, part.split))
    monkeypatch.setitem(PUBLISHED, "div2k", tuple(parts))


@pytest.mark.usefixtures("_small_div2k")
def test_a_published_data_set_from_a_mirror(server: WebServer, tmp_path: Path, index: Index) -> None:
    chosen = source("div2k", downloads={"mirrors": [f"{server.url}/set/"]})
    assert chosen.pending() == "DIV2K_train_HR.zip (794 B), DIV2K_valid_HR.zip (794 B)"
    state = chosen.state()
    record, _ = scan(chosen, tmp_path / "raw", index, "code")
    assert chosen.state() == state
    names = [
        "DIV2K_train_HR/01.png",
        "DIV2K_train_HR/02.png",
        "DIV2K_valid_HR/11.png",
        "DIV2K_valid_HR/12.png",
    ]
    assert [each.name for each in record.photographs] == names
    assert {each.licence for each in record.photographs} == {PUBLISHED["div2k"][0].terms.licence}
    settings = DataSettings.model_validate(VALUES).split.model_copy(update={"test": [], "validation": []})
    splits = split_scenes(record.photographs, settings.model_copy(update={"validation_fraction": 0.999}))
    assert splits["DIV2K_valid_HR/11"] == splits["DIV2K_valid_HR/12"] == "test"
    assert splits["01"] == splits["02"] == "validation"
    (tmp_path / "downloads/DIV2K_valid_HR.zip").unlink()
    one = source("div2k", downloads={"mirrors": [f"{server.url}/set/DIV2K_valid_HR.zip"]})
    assert one.read("DIV2K_valid_HR/12.png") == picture(12)


@pytest.mark.usefixtures("_small_div2k")
def test_an_offline_copy_may_be_unpacked(server: WebServer, tmp_path: Path) -> None:
    for part in PUBLISHED["div2k"]:
        archive = zipfile.ZipFile(io.BytesIO(server.files[f"/set/{part.file}"]))
        archive.extractall(tmp_path / "copy/DIV2K")
    chosen = source("div2k", downloads={"folder": "copy"})
    assert chosen.pending() == ""
    assert chosen.list().entries[0].name == "DIV2K_train_HR/01.png"
    assert chosen.read("DIV2K_valid_HR/11.png") == picture(11)
    state = chosen.state()
    (tmp_path / "copy/DIV2K/DIV2K_train_HR/03.png").write_bytes(picture(3))
    assert source("div2k", downloads={"folder": "copy"}).state() != state


@pytest.mark.usefixtures("_small_div2k")
def test_a_name_that_is_no_text_is_rejected(tmp_path: Path, index: Index) -> None:
    for number, part in enumerate(PUBLISHED["div2k"]):
        (tmp_path / "copy" / part.folder).mkdir(parents=True)
        (tmp_path / "copy" / part.folder / "1.png").write_bytes(picture(number))
    (tmp_path / "copy/DIV2K_train_HR/\udcff.png").write_bytes(picture(3))
    record, _ = scan(source("div2k", downloads={"folder": "copy"}), tmp_path / "raw", index, "code")
    assert len(record.photographs) == 2
    (rejected,) = record.rejected
    assert rejected == Rejected("DIV2K_train_HR/\\udcff.png", "has a name that is no UTF-8; rename it")


@pytest.mark.usefixtures("_small_div2k")
def test_an_altered_copy_is_refused(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/DIV2K_train_HR.zip").write_bytes(server.files["/set/DIV2K_valid_HR.zip"])
    with pytest.raises(UserError, match=r"DIV2K_train_HR\.zip: is not DIV2K_train_HR\.zip as expected"):
        source("div2k", downloads={"mirrors": [f"{server.url}/set/"]}).list()


@pytest.mark.usefixtures("_small_div2k")
def test_only_named_pictures_are_taken_of_the_training_part(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("somewhere/02.webp\n")
    mirror = {"mirrors": [f"{server.url}/set/"]}
    chosen = source("div2k", downloads=mirror | {"names": "names.txt"})
    names = [each.name for each in chosen.list().entries]
    assert names == ["DIV2K_train_HR/02.png", "DIV2K_valid_HR/11.png", "DIV2K_valid_HR/12.png"]
    assert chosen.state() != source("div2k", downloads=mirror).state()
    (tmp_path / "names.txt").write_text("03\n")
    archive = tmp_path / "downloads/DIV2K_train_HR.zip"
    with pytest.raises(UserError, match=rf"^data\.downloads\.names: names no picture of {archive} below "):
        source("div2k", downloads=mirror | {"names": "names.txt"}).list()


@pytest.mark.usefixtures("_small_div2k")
def test_an_offline_copy_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "copy/DIV2K_train_HR").mkdir(parents=True)
    (tmp_path / "copy/DIV2K_valid_HR").mkdir()
    with pytest.raises(UserError, match=rf"^{tmp_path}/copy/DIV2K_train_HR: holds no picture .*; remove it"):
        source("div2k", downloads={"folder": "copy"}).list()


def test_faces_are_tested_on_another_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no thumbnails128x128, no thumbnails128x128\.zip; get "):
        source("ffhq_128").list()
    faces = {f"thumbnails128x128/00000/{number:05}.png": picture(number) for number in range(3)}
    others = {f"CelebAMask-HQ/CelebA-HQ-img/{number}.jpg": picture(number) for number in range(100, 350)}
    masks = {"CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_hair.png": picture(9)}
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/thumbnails128x128.zip").write_bytes(zipped(faces))
    (tmp_path / "downloads/CelebAMask-HQ.zip").write_bytes(zipped(others | masks))
    entries = source("ffhq_128").list().entries
    assert [each.split for each in entries] == ["test"] * 100 + [None] * 3
    assert entries[0].name == "CelebA-HQ-img/100.jpg"
    assert entries[0].scene == "CelebA-HQ-img/100"
    assert entries[-1].name == "thumbnails128x128/00000/00002.png"


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


def test_the_table_is_complete() -> None:
    assert set(PUBLISHED) == set(get_args(PublishedName))
    for parts in PUBLISHED.values():
        assert {part.split for part in parts} <= {None, "test"}
        for part in parts:
            assert part.file.startswith(part.folder) or part.file in ("Flickr2K.tar", "CelebAMask-HQ.zip")
            assert part.sha256 is None or len(bytes.fromhex(part.sha256)) == 32
            assert part.terms.page.startswith("https://")
