"""Requests that mean harm: a status from 400 on and one line, a server that lives on, nothing written."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arbiscale.inference.model import Model

from .conftest import Client, png

Serve = Callable[..., Client]


@pytest.fixture
def client(serve: Serve, upscaler: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(tmp_path)
    return serve(upscaler, body_bytes=2**20, body_seconds=0.5, bodies_bytes=2**21)


@pytest.fixture(autouse=True)
def _alive_and_nothing_written(client: Client, tmp_path: Path) -> Any:
    yield
    assert client.ask("/upscale?scale=2", png())[0] == 200
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("scale=x", "query: scale: must be a factor above 0, or two such as 2.5x3.1 (got 'x')"),
        ("scale=1x2x3", "query: scale: must be a factor above 0"),
        ("scale=nan", "query: scale: must be a factor above 0"),
        ("scale=1e300", "pixels are served"),
        ("height=100000&width=100000", "100000x100000 px: at most 67,108,864 pixels are served"),
        ("height=9" + "9" * 5000 + "&width=1", "query: height"),
        ("height=1&width=67108864", "1x67108864 px: at most 262,144 a side are drawn"),
        ("height=67108864&width=1", "at most 262,144 a side are drawn"),
        ("height=-1&width=1", "query: height: must be"),
        ("height=3", "height and width must be given together"),
        ("", "either a scale or a size"),
        ("scale=2&seed=-1", "query: seed"),
        ("scale=2&seed=1e400", "query: seed"),
        ("scale=2&steps=9999", "steps 9999: at most 250 are served"),
        ("scale=2&sampler=/etc/passwd", "query: sampler: must be"),
        ("scale=2&fidelity=0.5", "no branch"),
        ("scale=2&scal=3", "query: scal: unknown key; did you mean scale?"),
        ("scale=2&format=../../x", "query: format: must be"),
        ("scale=2&model=/etc", "model '/etc': is none of those served"),
        ("scale=2&model=../../models", "is none of those served"),
        ("scale=2&output=/tmp/x.png", "query: output: unknown key"),
    ],
)
def test_queries(client: Client, query: str, line: str) -> None:
    status, said = client.refused(f"/upscale?{query}", png())
    assert 400 <= status < 500
    assert line in said


@pytest.mark.parametrize(
    "body", [b"", b"no picture", png()[:60], b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"\xff\xd8\xff" + bytes(500)]
)
def test_bodies_that_are_no_pictures(client: Client, body: bytes) -> None:
    for path in ("/upscale?scale=2", "/pictures"):
        status, line = client.refused(path, body)
        assert (status, line.startswith("the picture:")) == (422, True)


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/..%2F..%2Fetc%2Fpasswd",
        "/pictures/%2e%2e/%2e%2e/etc/passwd",
        "/pictures/%00",
        "/pictures/" + "a" * 64,
        "/pictures/0x0",
        "/../../etc/passwd",
        "/static/../app.py",
        "/" + "a" * 5000,
    ],
)
def test_paths(client: Client, path: str) -> None:
    assert client.refused(f"{path}?scale=2")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"inputs": null}',
        b'{"inputs": ["a"], "params": []}',
        b'{"inputs": ["a"], "params": {"scale": "x"}}',
        b'{"inputs": [1e999], "params": {"scale": 2}}',
        b'{"inputs": [{"a": 1}], "params": {"scale": 2}}',
        b'{"dataframe_split": 3}',
        b"[" * 100_000,
        b'{"inputs": ["\xff"]}',
    ],
)
def test_invocations(client: Client, body: bytes) -> None:
    assert client.refused("/invocations", body)[0] == 422


def test_truncated_base64(client: Client) -> None:
    whole = base64.b64encode(png()).decode()
    for text in (whole[:-3], whole[:80], whole[:81], f"{whole}*"):
        body = json.dumps({"inputs": [text], "params": {"scale": 2.0}}).encode()
        status, line = client.refused("/invocations", body)
        assert status == 422
        assert line.startswith(("the picture", "the input"))


@pytest.mark.parametrize(
    "region",
    [
        "top=0&left=0&rows=10&columns=10000",
        "top=-1&left=0&rows=1&columns=1",
        "top=0&left=0&rows=0&columns=1",
        "top=0&left=0",
        "top=x&left=0&rows=1&columns=1",
        "top=0&left=0&rows=1&columns=1&format=tif",
    ],
)
def test_regions(client: Client, region: str) -> None:
    where = f"/pictures/{client.json('/pictures', png())['picture']}/view"
    assert client.refused(f"{where}?height=90&width=120&{region}")[0] == 422
    assert client.refused(f"{where}?height=99999999&width=9&top=0&left=0&rows=1&columns=1")[0] == 422
    wide = f"{where}?height=1&width=16777216&top=0&left=0&rows=1&columns=16777216"
    assert client.refused(wide) == (422, "1x16777216 px: at most 262,144 a side are drawn")
    huge = f"{where}?height=100000&width=100000&top=0&left=0&rows=100000&columns=100000"
    assert client.refused(huge)[0] == 422


def test_a_picture_of_one_endless_row(client: Client) -> None:
    """Features of a row of 2^24 px took 9 GB."""
    status, line = client.refused("/upscale?height=9&width=9", png(np.zeros((1, 2**18 + 1, 3), np.uint8)))
    assert (status, line) == (422, "the picture: at most 262,144 pixels a side are taken")


def test_a_large_body(client: Client) -> None:
    status, line = client.refused("/upscale?scale=2", bytes(200 * 2**20))
    assert (status, line) == (413, "the body: at most 1,048,576 bytes are taken")


def test_a_slow_client(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"POST /upscale?scale=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        began = time.monotonic()
        answer = connection.recv(4096)
    assert b"HTTP/1.1 408" in answer
    assert time.monotonic() - began < 5


def test_many_slow_clients(client: Client) -> None:
    """Forty of them held 2.5 GB."""
    head = b"POST /upscale?scale=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    with ExitStack() as open_connections:
        connections = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(6)]
        for connection in connections:
            open_connections.enter_context(connection)
            connection.sendall(head + bytes(800_000))
        answers = [connection.recv(4096) for connection in connections]
    refused = sum(b"HTTP/1.1 429" in answer for answer in answers)
    assert refused == len(connections) - sum(b"HTTP/1.1 408" in answer for answer in answers)
    assert refused >= 3


def test_a_client_that_goes_while_it_sends(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"POST /upscale?scale=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        time.sleep(0.1)
    for _ in range(100):
        if 'path="/upscale",status="499"' in client.ask("/metrics")[1].decode():
            break
        time.sleep(0.02)
    assert "Exception" not in caplog.text
    assert 'path="/upscale",status="499"' in client.ask("/metrics")[1].decode()


def test_no_http_at_all(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01" + bytes(100) + b"\r\n\r\n")
        assert b" 400 " in connection.recv(4096)


def test_other_methods(client: Client) -> None:
    assert client.refused("/health", b"x")[0] == 405
    assert client.refused("/upscale?scale=2")[0] == 405
