"""A data set of the hub, from a local server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.sources.fetching import picture
from tests.data.web_server import WebServer, serving


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving({}) as server:
        yield server


COMMIT = "0123456789012345678901234567890123456789"
LISTED = """
import json, resource, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parallel test run ignores it
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
from arbiscale.config.data import DownloadSettings, HubSettings
from arbiscale.data.sources.hub import Hub
from arbiscale.data import connections
from arbiscale.errors import UserError
connections.PAUSE_SECONDS = 0.001
try:
    downloads = DownloadSettings(folder="downloads", mirrors=[], connections=2, names="")
    hub = Hub(HubSettings(repository="someone/photos", revision="main", files=sys.argv[1]), downloads)
    said = {"before": hub.pending()}
    said |= {"names": [each.name for each in hub.list().entries], "state": hub.state()}
    said |= {"after": hub.pending(), "sizes": [len(hub.read(name)) for name in said["names"]]}
except UserError as error:
    said = {"error": str(error)}
print(json.dumps(said))
"""


def publish(server: WebServer, files: dict[str, bytes]) -> None:
    """What huggingface_hub asks of a hub: a repository's listing, and its files."""
    blobs = {name: hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() for name, data in files.items()}
    listing = {
        "id": "someone/photos",
        "sha": COMMIT,
        "siblings": [{"rfilename": name, "size": len(files[name]), "blobId": blobs[name]} for name in files],
    }
    tree = [{"type": "file", "path": name, "size": len(files[name]), "oid": blobs[name]} for name in files]
    server.version = ""
    for revision in ("main", COMMIT):
        for path, answer in {f"revision/{revision}": listing, f"tree/{revision}": tree}.items():
            server.files[f"/api/datasets/someone/photos/{path}"] = json.dumps(answer).encode()
        for name, data in files.items():
            path = f"/datasets/someone/photos/resolve/{revision}/{name}"
            server.files[path] = data
            server.headers[path] = {"X-Repo-Commit": COMMIT, "ETag": f'"{blobs[name]}"'}


def begin(server: WebServer, tmp_path: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The hub's endpoint and cache are read when huggingface_hub is imported."""
    own = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    own |= {"DVC_ROOT": str(tmp_path)}
    command = [sys.executable, "-c", LISTED, *(arguments or ["*"])]
    return subprocess.Popen(
        command, env=os.environ | own | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it said."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def from_hub(server: WebServer, tmp_path: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    return end(begin(server, tmp_path, *arguments, **environment))


def test_a_repository_of_the_hub(server: WebServer, tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        info = tarfile.TarInfo("x/2.png")
        info.size = len(picture(2))
        archive.addfile(info, io.BytesIO(picture(2)))
    pictures = pa.StructArray.from_arrays([[picture(3)], ["a.png"]], ["bytes", "path"])
    parquet.write_table(pa.table({"image": pictures}), tmp_path / "table.parquet")
    table = (tmp_path / "table.parquet").read_bytes()
    archives = {"data/more.tar.gz": content.getvalue(), "data/table.parquet": table}
    files = {"data/1.png": picture(1), "README.md": b"#"} | archives
    publish(server, files)
    said = from_hub(server, tmp_path)
    assert (said["before"], said["after"]) == ("someone/photos at main", "")
    assert said["names"] == ["data/1.png", "data/more/x/2.png", "data/table/00000000.png"]
    assert said["sizes"] == [len(picture(1)), len(picture(2)), len(picture(3))]
    assert said["state"]["files"] == 3
    server.requests.clear()
    assert from_hub(server, tmp_path)["names"] == said["names"]
    assert not [path for path, _ in server.requests if "/resolve/" in path]
    assert "cannot be fetched" in from_hub(server, tmp_path, HF_HUB_OFFLINE="1")["error"]


@pytest.mark.parametrize(("kind", "nth"), [("api", 1), (500, 1), (503, 2), ("cut", 2), ("alter", 2)], ids=str)
def test_a_hub_that_stumbles_brings_the_same(
    server: WebServer, tmp_path: Path, kind: int | str, nth: int
) -> None:
    publish(server, {f"data/{number}.png": picture(number) for number in range(3)})

    def stumble(path: str, count: int) -> object:
        if kind == "api":
            return 500 if path.startswith("/api/") and count == nth else None
        return kind if path.endswith("1.png") and count == nth else None

    server.fault = stumble
    said = from_hub(server, tmp_path)
    assert said["names"] == ["data/0.png", "data/1.png", "data/2.png"]
    assert said["sizes"] == [len(picture(number)) for number in range(3)]
    altered = [path for path, _ in server.requests if path.endswith("1.png")]
    assert len(altered) <= 4, "and alone"
    assert len([path for path, _ in server.requests if path.endswith("2.png")]) == 2


def test_what_a_hub_does_not_bring_is_one_line(server: WebServer, tmp_path: Path) -> None:
    publish(server, {f"data/{number}.png": picture(number) for number in range(3)})
    shown = "data.hub.repository: someone/photos: "
    server.fault = lambda path, nth: "alter" if path.endswith("1.png") else None
    assert from_hub(server, tmp_path)["error"] == f"{shown}delivers another data/1.png than it lists, twice"
    away = from_hub(server, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")["error"]
    assert away == f"{shown}cannot be fetched ([Errno 111] Connection refused)"


def test_a_repository_that_is_of_no_use(server: WebServer, tmp_path: Path) -> None:
    publish(server, {"data/1.png": picture(1)})
    assert "*.jpg: holds no picture" in from_hub(server, tmp_path, "*.jpg")["error"]
    server.files.clear()
    error = from_hub(server, tmp_path)["error"]
    assert error.startswith("data.hub.repository: someone/photos: ")
    assert "404" in error


NAMES = ["data/0.png", "data/1.png", "data/2.png"]


@pytest.fixture
def pictures(server: WebServer) -> list[int]:
    """Three pictures in the repository; their sizes."""
    publish(server, {name: picture(number) for number, name in enumerate(NAMES)})
    return [len(picture(number)) for number in range(3)]


def test_two_processes_at_once_have_the_same(server: WebServer, tmp_path: Path, pictures: list[int]) -> None:
    both = [begin(server, tmp_path) for _ in range(2)]
    for process in both:
        said = end(process)
        assert (said["names"], said["sizes"]) == (NAMES, pictures)


def test_a_full_disk_is_one_line_and_what_is_missing_comes_later(
    server: WebServer, tmp_path: Path, pictures: list[int]
) -> None:
    error = from_hub(server, tmp_path, "*", "200")["error"]
    assert error.startswith("data.hub.repository: someone/photos: cannot be fetched (")
    assert "\n" not in error
    said = from_hub(server, tmp_path)
    assert (said["names"], said["sizes"]) == (NAMES, pictures)


def test_ctrl_c_and_again(server: WebServer, tmp_path: Path, pictures: list[int]) -> None:
    reached = threading.Event()

    def stall(path: str, nth: int) -> str | None:
        if path.endswith("/1.png") and nth == 2:
            reached.set()
            return "stall"
        return None

    server.fault = stall
    process = begin(server, tmp_path)
    assert reached.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    away = from_hub(server, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")["error"]
    assert "cannot be fetched" in away  # a part does not pass for the whole
    server.fault = lambda path, nth: None
    said = from_hub(server, tmp_path)
    assert said["before"] == "someone/photos at main"
    assert (said["names"], said["sizes"]) == (NAMES, pictures)
