"""Benchmark sets by folder and by address, against a web server with faults."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arbiscale.data import benchmarks, connections
from arbiscale.data.benchmarks import pending, pictures_folder
from arbiscale.errors import UnavailableError, UserError
from tests.data.sources.fetching import zipped
from tests.data.web_server import WebServer, serving

KEY = "evaluate.folders.benchmark: set5"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The repository's root; retries are quick."""
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def bundle() -> bytes:
    """A tar archive of two sets, laid out as EDSR's benchmark.tar."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in (
            "Set5/HR/baby.png",
            "Set5/HR/bird.png",
            "Set5/HR/.bird.png",
            "Set5/LR_bicubic/X2/babyx2.png",
        ):
            add(archive, f"benchmark/{name}", name.encode())
        add(archive, "benchmark/Set14/HR/zebra.png", b"Set14/HR/zebra.png")
        add(archive, "benchmark/readme.txt", b"no picture")
    return content.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def server(bundle: bytes) -> Iterator[WebServer]:
    one = zipped({"General-100/im_1.bmp": b"1", "__MACOSX/General-100/._im_1.bmp": b"x"})
    up = zipped({"HR/1.png": b"1", "../HR/up.png": b"x"})
    with serving(
        {"/benchmark.tar": bundle, "/General-100.zip": one, "/up.zip": up, "/no.zip": b"no"}
    ) as server:
        yield server


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_folder_is_taken_as_it_is(root: Path) -> None:
    assert pictures_folder("sets/Set5", KEY) == root / "sets/Set5"
    assert pictures_folder("/sets/Set5", KEY) == Path("/sets/Set5")
    assert pending("sets/Set5", KEY) == ""


def test_an_archive_is_fetched_once_for_each_of_its_sets(
    server: WebServer, root: Path, bundle: bytes
) -> None:
    sha256 = hashlib.sha256(bundle).hexdigest()
    places = {
        name: f"{server.url}/benchmark.tar#folder={name}/HR&sha256={sha256}" for name in ("Set5", "Set14")
    }
    assert pending(places["Set5"], KEY) == f"{server.url}/benchmark.tar"
    five = pictures_folder(places["Set5"], KEY)
    assert contents(five) == {name: f"Set5/HR/{name}".encode() for name in ("baby.png", "bird.png")}
    assert pending(places["Set14"], KEY) == ""
    server.requests.clear()
    assert contents(pictures_folder(places["Set14"], KEY)) == {"zebra.png": b"Set14/HR/zebra.png"}
    assert pictures_folder(places["Set5"], KEY) == five
    assert server.requests == []
    assert five.is_relative_to(root / "downloads/benchmarks")


def test_a_whole_archive_is_a_set(server: WebServer) -> None:
    folder = pictures_folder(f"{server.url}/General-100.zip", KEY)
    assert contents(folder) == {"General-100/im_1.bmp": b"1"}


def test_folders_of_like_names_are_told_apart(server: WebServer) -> None:
    files = {"all/1.png": b"1", "a/b/2.png": b"2", "a-b/3.png": b"3", "a%2Fb/4.png": b"4"}
    server.files["/like.zip"] = zipped(files)
    found = {
        folder: contents(pictures_folder(f"{server.url}/like.zip#folder={folder}", KEY))
        for folder in ("all", "a/b", "a-b", "a%2Fb")
    }
    assert found == {name.rpartition("/")[0]: {name[-5:]: content} for name, content in files.items()}
    assert contents(pictures_folder(f"{server.url}/like.zip", KEY)) == files


def test_a_server_that_stumbles_brings_the_same(server: WebServer) -> None:
    faults = {1: 500, 2: 503, 4: "cut"}
    server.fault = lambda path, nth: faults.get(nth)
    folder = pictures_folder(f"{server.url}/benchmark.tar#folder=Set14/HR", KEY)
    assert contents(folder) == {"zebra.png": b"Set14/HR/zebra.png"}


def test_several_at_once_fetch_once(server: WebServer) -> None:
    place = f"{server.url}/benchmark.tar#folder=Set5/HR"
    with ThreadPoolExecutor(4) as pool:
        folders = {*pool.map(lambda _: pictures_folder(place, KEY), range(4))}
    assert [len(contents(folder)) for folder in folders] == [2]
    assert len([asked for asked in server.sent("/benchmark.tar") if asked != "bytes=0-0"]) == 1


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "benchmark.tar#folder=HR",
            "holds several folders HR (benchmark/Set14/HR, benchmark/Set5/HR); name one",
        ),
        ("benchmark.tar#folder=Set6", "holds no picture below a folder Set6; name a folder of it that does"),
        (f"benchmark.tar#folder=Set5/HR&sha256={'0' * 64}", "delivers another file, twice"),
        ("missing.zip", f"is refused (404 Not Found); name another address in {KEY}"),
        ("up.zip", "its name leads out of the archive; name another archive"),
        ("no.zip", "is no archive that can be read"),
        ("baby.png", "is no archive (zip, tar); name one, or a folder"),
    ],
)
def test_what_is_not_the_set_is_refused_in_one_line(
    server: WebServer, root: Path, place: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        pictures_folder(f"{server.url}/{place}", KEY)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [*root.rglob("pictures-*")]
    assert not (root.parent / "HR").exists()


def test_a_place_that_cannot_be_written_is_named(server: WebServer, root: Path) -> None:
    (root / "downloads").touch()
    with pytest.raises(UserError, match=r"downloads/benchmarks/benchmark-\w+: cannot be written \("):
        pictures_folder(f"{server.url}/benchmark.tar#folder=Set5/HR", KEY)


def test_a_damaged_picture_leaves_no_half_of_a_set(server: WebServer, root: Path) -> None:
    content = zipped({"1.png": b"one" * 100, "2.png": b"two" * 100})
    server.files["/half.zip"] = content.replace(b"two" * 100, b"owt" * 100)
    with pytest.raises(
        UserError, match=r"half\.zip: 2\.png: is damaged in its archive .*; name another archive"
    ):
        pictures_folder(f"{server.url}/half.zip", KEY)
    assert not [*root.rglob("*.png")]


def test_a_full_disk_is_noticed_before_unpacking(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures_folder(f"{server.url}/General-100.zip", KEY)
    monkeypatch.setattr(benchmarks.shutil, "disk_usage", lambda _: type("Free", (), {"free": 0}))
    with pytest.raises(UserError, match=r" are needed, .* are free"):
        pictures_folder(f"{server.url}/General-100.zip#folder=General-100", KEY)


def test_a_server_that_is_away_is_no_reason_to_leave_a_set_out(server: WebServer) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UnavailableError, match="cannot be fetched"):
        pictures_folder(f"{server.url}/benchmark.tar#folder=Set5/HR", KEY)
