"""How loaders' processes are made."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

_IMPORTED_ONCE = ["arbiscale.data.dataset"]  # seconds for each process otherwise


def worker_context(workers: int) -> ForkServerContext | None:
    """Workers are forks of a server that has no threads: a fork of this process would copy threads' locks."""
    if not workers:
        return None
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    return context
