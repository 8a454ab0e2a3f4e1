"""How a stage's script ends: in one line where the user can mend it, or stopped it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from arbiscale.errors import UserError, extras_named
from arbiscale.files import print_any_name
from arbiscale.pipeline.signals import Interrupted, StopSignals, stop_signals


@contextmanager
def ends_in_one_line(name: str) -> Iterator[StopSignals]:
    """End the process with code 2 for a UserError, with 128 + signal number on Ctrl-C or SIGTERM.

    Args:
        name: the stage's.
    """
    print_any_name()
    try:
        with extras_named(), stop_signals() as signals:
            yield signals
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stopped:
        print(f"{name}: {stopped}; the same command continues it", file=sys.stderr)
        sys.exit(128 + stopped.signum)
