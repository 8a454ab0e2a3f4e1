"""One GPU a stage, where several experiments run side by side: DVC's queue assigns none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from arbiscale.files import named_errors
from arbiscale.workspace import repository_root

POOL, VISIBLE = "ARBISCALE_GPUS", "CUDA_VISIBLE_DEVICES"
_LOOK_SECONDS = 1.0


@contextmanager
def device_from_pool(stage: str) -> Iterator[None]:
    """Take a free device of ARBISCALE_GPUS (such as `0,1,2,3`), and make it the only visible one inside.

    Where all are taken, say so and wait. Without the variable, every device stays visible. The locks lie in
    the repository, so that experiments in DVC's temporary workspaces share them.

    Raises:
        UserError: the locks cannot be written.
    """
    devices = [each.strip() for each in os.environ.get(POOL, "").split(",") if each.strip()]
    if not devices:
        yield
        return
    folder = repository_root() / ".resume" / ".devices"
    with named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        for device in devices:
            lock = FileLock(folder / f"{device}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            before = os.environ.get(VISIBLE)
            os.environ[VISIBLE] = device
            try:
                yield
            finally:
                lock.release()
                os.environ.pop(VISIBLE)
                if before is not None:
                    os.environ[VISIBLE] = before
            return
        if not waiting:
            free = f"one of the devices {', '.join(devices)}"
            print(f"{stage}: waiting for {free}", file=sys.stderr, flush=True)
        waiting = True
        time.sleep(_LOOK_SECONDS)
