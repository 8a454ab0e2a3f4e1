"""Files of a web server that cuts, refuses, alters and changes them."""

import hashlib
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from arbiscale.data import connections, downloads, transfer
from arbiscale.data.downloads import fetch, missing
from arbiscale.data.transfer import RemoteFile, without_secrets
from arbiscale.errors import UnavailableError, UserError
from tests.data.web_server import WebServer, serving
from tests.full_disk import full_disk

PART = 10_000
CONTENT = random.Random(0).randbytes(95_000)  # ten parts
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", PART)
    monkeypatch.setattr(transfer, "_CHUNK_BYTES", 1000)
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving({"/a.zip": CONTENT, "/b.zip": CONTENT[::-1]}) as server:
        yield server


def remote(server: WebServer, name: str = "a.zip", sha256: str | None = SHA256) -> RemoteFile:
    return RemoteFile(name, f"{server.url}/{name}", None, sha256)


def only(folder: Path) -> list[str]:
    """What lies in a folder, without the lock and notes."""
    return sorted(
        path.name for path in folder.iterdir() if path.name != ".lock" and path.suffix != ".verified"
    )


def test_a_file_comes_in_parts_and_once(server: WebServer, tmp_path: Path) -> None:
    fetch([remote(server)], tmp_path, 4)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    ranges = server.sent("/a.zip")
    assert ranges[0] == "bytes=0-0"
    assert sorted(ranges[1:]) == sorted(
        f"bytes={n}-{min(n + PART, 95_000) - 1}" for n in range(0, 95_000, PART)
    )
    assert only(tmp_path) == ["a.zip"]
    assert not missing([remote(server)], tmp_path)
    fetch([remote(server)], tmp_path, 4)
    assert len(server.requests) == 11


def test_parts_come_at_the_same_time(server: WebServer, tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=10)

    def wait_for_the_others(path: str, nth: int) -> None:
        if 1 < nth <= 5:
            together.wait()  # breaks, and the answer with it, unless four are under way

    server.fault = wait_for_the_others
    fetch([remote(server)], tmp_path, 4)
    assert not together.broken


def test_a_cut_part_goes_on_where_it_was_cut(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: "cut" if nth == 3 else None
    fetch([remote(server)], tmp_path, 1)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    cut, again = server.sent("/a.zip")[2:4]
    assert (cut, again) == ("bytes=10000-19999", "bytes=15000-19999")
    assert len(server.requests) == 12


def test_a_server_without_ranges(server: WebServer, tmp_path: Path) -> None:
    server.ranges = False
    server.fault = lambda path, nth: "cut" if nth == 2 else None
    fetch([remote(server)], tmp_path, 4)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_passing_failures_are_repeated_and_lasting_ones_said(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: 500 if nth in (1, 3) else None
    fetch([remote(server)], tmp_path, 1)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    server.fault = lambda path, nth: 503 if nth > 3 else None
    with pytest.raises(UnavailableError, match=rf"^b\.zip: {server.url}/b\.zip: cannot be fetched \(503 "):
        fetch([remote(server, "b.zip", None)], tmp_path, 1)
    with pytest.raises(UserError, match=r"^c\.zip: .* is refused \(404 Not Found\); name another address in"):
        fetch([remote(server, "c.zip")], tmp_path, 1)


def test_a_connection_that_is_always_cut(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: "cut" if nth > 1 else None
    server.ranges = False
    with pytest.raises(UnavailableError, match=r"cannot be fetched \(.*\); run this again later"):
        fetch([remote(server)], tmp_path, 1)


def test_an_unreachable_server(server: WebServer, tmp_path: Path) -> None:
    file = RemoteFile("a.zip", "http://somebody:password@127.0.0.1:1/a.zip?token=hidden")
    with pytest.raises(
        UnavailableError, match=r"^a\.zip: http://127\.0\.0\.1:1/a\.zip: cannot be fetched"
    ) as caught:
        fetch([file], tmp_path, 1)
    assert not {"password", "hidden"} & set(str(caught.value).replace("=", " ").split())


def test_a_server_that_asks_for_patience_gets_it_within_bounds(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LONGEST_PAUSE_SECONDS", 1)
    server.headers["/a.zip"] = {"Retry-After": "3600"}
    server.fault = lambda path, nth: 429 if nth in (1, 4) else None
    begun = monotonic()
    fetch([remote(server)], tmp_path, 1)
    assert 2 <= monotonic() - begun < 10
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [503, "stall"])
def test_ctrl_c_ends_pauses_and_silences(server: WebServer, tmp_path: Path, fault: int | str) -> None:
    waiting = threading.Event()

    def spoil(path: str, nth: int) -> int | str | None:
        if nth > 2:
            waiting.set()
        return fault if nth > 2 else None

    server.fault = spoil
    server.headers["/a.zip"] = {"Retry-After": "3600"}
    process = multiprocessing.get_context("fork").Process(
        target=fetch_interruptibly, args=([remote(server)], tmp_path, 2)
    )
    process.start()
    assert waiting.wait(20)
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    code = process.exitcode
    process.kill()
    assert code == 1


def test_a_proxy_of_the_environment_is_asked(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    server.files["http://nowhere.invalid/c.zip"] = CONTENT
    fetch([RemoteFile("c.zip", "http://nowhere.invalid/c.zip", sha256=SHA256)], tmp_path, 2)
    assert (tmp_path / "c.zip").read_bytes() == CONTENT


def test_an_altered_file_is_fetched_again_alone(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: "alter" if (path, nth) == ("/a.zip", 5) else None
    other = hashlib.sha256(CONTENT[::-1]).hexdigest()
    fetch([remote(server), remote(server, "b.zip", other)], tmp_path, 2)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.sent("/a.zip")) == 21
    assert len(server.sent("/b.zip")) == 11


def test_a_wrong_checksum_is_refused(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"delivers another file, twice \(its sha256 is {SHA256} instead of 0{{64}}"
    ):
        fetch([remote(server, sha256="0" * 64)], tmp_path, 2)
    assert only(tmp_path) == []


def test_a_file_of_another_size_is_refused_before_it_comes(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 95000 bytes instead of 94999"):
        fetch([RemoteFile("a.zip", f"{server.url}/a.zip", 94_999)], tmp_path, 2)
    assert len(server.requests) == 1


def test_a_file_that_was_put_there_is_verified_once(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    fetch([remote(server)], tmp_path, 2)
    assert not server.requests
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "sha256_of", lambda path: pytest.fail("read again"))
        fetch([remote(server)], tmp_path, 2)
    (tmp_path / "a.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(
        UserError, match=r"a\.zip: is not a\.zip as expected \(its sha256 is [0-9a-f]{64}\); delete"
    ):
        fetch([remote(server)], tmp_path, 2)


def test_an_interrupted_file_goes_on(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: 404 if nth == 6 else None
    with pytest.raises(UserError, match="is refused"):
        fetch([remote(server)], tmp_path, 1)
    assert not (tmp_path / "a.zip").exists()
    server.requests.clear()
    server.fault = lambda path, nth: None
    fetch([remote(server)], tmp_path, 1)
    assert server.sent("/a.zip") == [
        "bytes=0-0",
        *(f"bytes={n}-{min(n + PART, 95_000) - 1}" for n in range(40_000, 95_000, PART)),
    ]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert only(tmp_path) == ["a.zip"]


def fetch_interruptibly(*arguments: Any) -> None:
    """`fetch` where Ctrl-C counts: a parallel test run ignores it, and processes inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fetch(*arguments)


def test_ctrl_c_and_again(server: WebServer, tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(path: str, nth: int) -> None:
        if nth == 6:
            reached.set()
            go_on.wait(20)

    server.fault = hold
    process = multiprocessing.get_context("fork").Process(
        target=fetch_interruptibly, args=([remote(server)], tmp_path, 1)
    )
    process.start()
    assert reached.wait(20)
    os.kill(process.pid, signal.SIGINT)
    go_on.set()
    process.join(20)
    assert process.exitcode == 1
    assert not (tmp_path / "a.zip").exists()
    server.requests.clear()
    server.fault = lambda path, nth: None
    fetch([remote(server)], tmp_path, 1)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.requests) < 11
    assert only(tmp_path) == ["a.zip"]


def test_parts_of_another_version_are_not_mixed(server: WebServer, tmp_path: Path) -> None:
    server.fault = lambda path, nth: 404 if nth == 6 else None
    with pytest.raises(UserError, match="is refused"):
        fetch([remote(server, sha256=None)], tmp_path, 1)
    server.fault = lambda path, nth: None
    server.files["/a.zip"], server.version = CONTENT[::-1], '"2"'
    fetch([remote(server, sha256=None)], tmp_path, 1)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_file_that_changes_while_it_comes(server: WebServer, tmp_path: Path) -> None:
    def change(path: str, nth: int) -> None:
        server.version = '"1"' if nth < 4 else '"2"'

    server.fault = change
    with pytest.raises(UserError, match="has changed while it was fetched; run this again"):
        fetch([remote(server)], tmp_path, 1)


def test_a_full_disk_is_said(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_disk(30_000), pytest.raises(UserError, match=r"a\.zip: cannot be written \(File too large\)"):
        fetch([remote(server)], tmp_path, 2)
    assert not (tmp_path / "a.zip").exists()
    monkeypatch.setattr(downloads, "_SPARE_BYTES", 2**60)
    with pytest.raises(UserError, match=r" are to be fetched and .* are free; name a folder of a larger"):
        fetch([remote(server, "b.zip", None)], tmp_path, 2)


def test_two_processes_fetch_once(server: WebServer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch, args=([remote(server)], tmp_path, 2)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(server.requests) == 11
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_an_empty_file_and_one_without_version(server: WebServer, tmp_path: Path) -> None:
    server.files["/empty.zip"] = b""
    server.version = ""
    fetch([remote(server, "empty.zip", None), remote(server)], tmp_path, 2)
    assert (tmp_path / "empty.zip").read_bytes() == b""
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_what_is_secret_is_not_shown() -> None:
    assert (
        without_secrets("https://me:pass@host:8/a/b.zip?X-Signature=1#sha256=2") == "https://host:8/a/b.zip"
    )
