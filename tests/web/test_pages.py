"""The page's files, and who may ask for them."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import arbiscale.web
from arbiscale.inference.model import Model

from .conftest import Client, png

Serve = Callable[..., Client]
FILES = Path(arbiscale.web.__file__).parent / "page"


def test_the_page_and_its_files_are_served_with_a_strict_policy(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler, page=True)
    with urllib.request.urlopen(f"http://127.0.0.1:{client.port}/") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for file in FILES.iterdir():
        assert client.ask(f"/page/{file.name}") == (200, file.read_bytes())
    assert client.refused("/page/../pages.py")[0] == 404


def test_the_page_loads_nothing_from_outside() -> None:
    for file in FILES.iterdir():
        assert set(re.findall(r"https?://[^\s\"']+", file.read_text(encoding="utf-8"))) <= {
            "http://www.w3.org/2000/svg"
        }


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_another_host_is_refused(serve: Serve, upscaler: Model, host: str) -> None:
    client = serve(upscaler, page=True)
    assert client.ask("/", Host=host)[0] == 400
    assert client.ask("/pictures", png(), Host=host)[0] == 400
    assert client.ask("/", Host=f"localhost:{client.port}")[0] == 200


def test_without_the_page_there_is_none(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    assert client.refused("/")[0] == 404
    assert client.ask("/health", Host="proxied.example")[0] == 200
