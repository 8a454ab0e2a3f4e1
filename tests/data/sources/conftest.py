"""A server of pictures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from arbiscale.data import connections
from tests.data.sources.fetching import picture, zipped
from tests.data.web_server import WebServer, serving


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pauses are short, and the project is a folder of the test."""
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture
def server() -> Iterator[WebServer]:
    """An archive and a picture."""
    photos = zipped({"day/1.png": picture(1), "day/2.png": picture(2), "readme.txt": b"x", "../up.png": b"x"})
    with serving({"/photos.zip": photos, "/3.png": picture(3)}) as server:
        yield server
