"""A training that stands still says so: in its log, and to a webhook."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from typing import Any

from pytorch_lightning import Trainer

from arbiscale.training.step_callback import StepCallback

_POST_SECONDS = 10


class StallWarning(StepCallback):
    """Warns once where no step has ended for so long, and once more where steps go on.

    Args:
        minutes: without a step; 0 = never.
        webhook: address that gets {"text": the line} by POST; empty = none.
    """

    def __init__(self, name: str, minutes: float, webhook: str) -> None:
        self.name = name
        self.seconds = 60 * minutes
        self.webhook = webhook
        self._ended = threading.Event()
        self._stalled = False

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Watch from now on."""
        super().on_train_start(trainer)
        self._last = time.monotonic()
        if self.seconds:
            threading.Thread(target=self._watch, name="stall warning", daemon=True).start()

    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """Another step has ended."""
        self._last = time.monotonic()
        if self._stalled:
            self._stalled = False
            self._say(f"{self.name}: goes on at step {trainer.global_step}")

    def on_train_end(self, *_: Any) -> None:
        """Watch no longer."""
        self._ended.set()

    def on_exception(self, *_: Any) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(self.seconds / 4):
            if not self._stalled and time.monotonic() - self._last > self.seconds:
                self._stalled = True
                since = f"for {self.seconds / 60:g} minutes (step {self._step})"
                self._say(f"WARNING: {self.name}: no step has ended {since}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if not self.webhook:
            return
        body = json.dumps({"text": line}).encode()
        request = urllib.request.Request(self.webhook, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_POST_SECONDS):
                pass
        except (OSError, ValueError) as error:
            print(f"WARNING: runtime.webhook: cannot be reached ({error})", file=sys.stderr, flush=True)
