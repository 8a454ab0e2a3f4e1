"""A server of a tiny model, in a thread of this process, asked over a real socket."""

from __future__ import annotations

import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image

from arbiscale.inference.model import Model
from arbiscale.web.app import make_app
from arbiscale.web.listening import listen
from arbiscale.web.models import Models
from arbiscale.web.pages import add_page
from arbiscale.web.service import Service
from arbiscale.web.settings import ServerLimits

PIXELS = (np.arange(9 * 12 * 3) * 7 % 256).astype(np.uint8).reshape(9, 12, 3)


def png(pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@dataclass
class Client:
    """Asks a server.

    Attributes:
        port: of the server, on this machine.
        service: that answers.
    """

    port: int
    service: Service

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """The status and the body of the answer; a body makes it a POST."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, path: str, body: bytes | None = None) -> Any:
        status, data = self.ask(path, body)
        assert status < 300, data
        return json.loads(data)

    def refused(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Status and line of a refusal."""
        status, data = self.ask(path, body)
        answer = json.loads(data)
        assert [*answer] == ["error"]
        assert "\n" not in answer["error"]
        return status, answer["error"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Serves a model; keywords are limits, but for `load`, which opens models by name."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(
        model: Model,
        *,
        where: str = "here",
        others: tuple[str, ...] = (),
        load: Callable[[str], Model] | None = None,
        alias_seconds: float = 60.0,
        page: bool = False,
        **limits: Any,
    ) -> Client:
        service = Service(Models(where, load or (lambda name: model), others), ServerLimits(**limits))
        listening = listen("127.0.0.1", 0)
        app = make_app(service, alias_seconds=alias_seconds)
        if page:
            add_page(app)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        started.append((server, thread))
        for _ in range(500):
            if server.started:
                break
            time.sleep(0.01)
        return Client(listening.getsockname()[1], service)

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join()
