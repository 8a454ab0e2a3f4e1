"""Ctrl-C and SIGTERM, told apart from failures even where a library converts the exception."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class StopSignals:
    """The signal that asked the process to end, if one did."""

    received: int | None = None

    def check(self) -> None:
        """Raise Interrupted if a signal came, even where a library turned it into something else.

        Lightning, for one, answers KeyboardInterrupt by sys.exit(1).
        """
        if self.received is not None:
            raise Interrupted(self.received)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Make SIGINT and SIGTERM raise Interrupted in the main thread; to be entered there.

    After the first signal further SIGTERMs are ignored, so that a process group's second one does
    not end the cleaning up; Ctrl-C still does.
    """
    signals = StopSignals()
    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a data loading worker, forked with this handler: end as usual
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signals.received = signum
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, handle) for signum in SIGNALS}
    try:
        yield signals
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
