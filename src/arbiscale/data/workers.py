"""How loaders' processes are made."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

_IMPORTED_ONCE = ["arbiscale.data.dataset"]  # seconds for each process otherwise


def worker_context(workers: int) -> ForkServerContext | None:
    """Workers are forks of a server that has no threads.

    A fork of this process would copy the locks of its threads, libvips' among them, and wait for
    them for ever.
    """
    if not workers:
        return None
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    return context
