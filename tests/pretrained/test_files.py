"""Pretrained networks: the order of places, the download, and damaged files."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import torch

from arbiscale.errors import UnavailableError, UserError
from arbiscale.pretrained.files import Pretrained, locate, obtain


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    with HTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The four places weights are looked for, inside the test's own folder, first choice first."""
    folders = {
        "settings": tmp_path / "settings",
        "environment": tmp_path / "environment",
        "repository": tmp_path / "repository" / "weights",
        "cache": tmp_path / "hub" / "checkpoints",
    }
    for folder in folders.values():
        folder.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    monkeypatch.setenv("ARBISCALE_WEIGHTS_DIR", str(folders["environment"]))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return folders


def network(url: str = "http://127.0.0.1:9/net-full.pth", sha256_prefix: str = "") -> Pretrained:
    return Pretrained("Net", ("net_features.pt", "net-full.pth"), url, sha256_prefix)


def test_places_are_searched_in_order(places: dict[str, Path]) -> None:
    assert locate(network(), str(places["settings"])) is None
    for name in reversed(places):
        (places[name] / "net-full.pth").write_bytes(b"")
        assert locate(network(), str(places["settings"])) == places[name] / "net-full.pth"
    (places["settings"] / "net_features.pt").write_bytes(b"")
    assert locate(network(), str(places["settings"])) == places["settings"] / "net_features.pt"
    assert locate(network()) == places["environment"] / "net-full.pth"


def test_a_folder_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"runtime\.weights_dir: nowhere is not a directory"):
        locate(network(), "nowhere")
    monkeypatch.setenv("ARBISCALE_WEIGHTS_DIR", "nowhere")
    with pytest.raises(UserError, match="ARBISCALE_WEIGHTS_DIR: nowhere"):
        locate(network())


def test_downloads_once_into_the_cache(server: tuple[Path, str], places: dict[str, Path]) -> None:
    folder, address = server
    (folder / "net-full.pth").write_bytes(b"weights")
    wanted = network(f"{address}/net-full.pth", hashlib.sha256(b"weights").hexdigest()[:8])
    path = obtain(wanted)
    assert path == places["cache"] / "net-full.pth"
    assert path.read_bytes() == b"weights"
    (folder / "net-full.pth").unlink()
    assert obtain(wanted) == path


@pytest.mark.parametrize("fault", ["wrong sha256", "not found", "no server"])
def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    server: tuple[Path, str], places: dict[str, Path], fault: str
) -> None:
    folder, address = server
    if fault == "wrong sha256":
        (folder / "net-full.pth").write_bytes(b"something else")
    if fault == "no server":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(
        UnavailableError, match=r"put net_features\.pt or net-full\.pth in a folder"
    ) as caught:
        obtain(network(f"{address}/net-full.pth", "00000000"), named="with --from")
    assert str(caught.value).endswith("in a folder and name it with --from")
    assert f"{address}/net-full.pth" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "cannot be written" not in str(caught.value)
    assert list(places["cache"].iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_more_than_unavailable(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    (folder / "net-full.pth").write_bytes(b"weights")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "file"))
    with pytest.raises(UnavailableError, match="cannot be written"):
        obtain(network(f"{address}/net-full.pth"))


def test_a_file_under_the_published_name_must_be_the_published_one(places: dict[str, Path]) -> None:
    path = places["settings"] / "net-full.pth"
    path.write_bytes(b"weights")
    prefix = hashlib.sha256(b"weights").hexdigest()[:8]
    assert obtain(network(sha256_prefix=prefix), str(places["settings"])) == path
    path.write_bytes(b"truncated")
    with pytest.raises(
        UserError,
        match=rf"net-full\.pth: is not Net as published .* {prefix}\); remove it and fetch it again",
    ):
        obtain(network(sha256_prefix=prefix), str(places["settings"]))
    path.rename(path.with_name("net_features.pt"))
    assert obtain(network(sha256_prefix=prefix), str(places["settings"])).name == "net_features.pt"
