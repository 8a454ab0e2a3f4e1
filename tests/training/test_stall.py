"""A training that stands still."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from arbiscale.training.stall import StallWarning


def trainer(step: int) -> Any:
    return SimpleNamespace(global_step=step)


def test_it_warns_once_and_says_when_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    watch = StallWarning("diffusion", 0.1 / 60, f"http://127.0.0.1:{server.server_port}/")
    watch.on_train_start(trainer(7))
    patience = time.monotonic() + 10
    while not told:
        assert time.monotonic() < patience
        time.sleep(0.01)
    time.sleep(0.3)
    nothing: Any = None
    watch.on_train_batch_end(trainer(8), nothing, nothing)
    watch.on_train_end()
    server.shutdown()
    assert len(told) == 2
    assert told[0].startswith("WARNING: diffusion: no step has ended for ")
    assert told[0].endswith("(step 7)")
    assert told[1] == "diffusion: goes on at step 8"
    assert capsys.readouterr().err.splitlines() == told


def test_a_webhook_that_does_not_answer_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch = StallWarning("diffusion", 1, "http://127.0.0.1:9/")
    watch._say("WARNING: x")
    assert "runtime.webhook: cannot be reached" in capsys.readouterr().err
