"""A server at an address, until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from arbiscale.web.listening import address

_IDLE_SECONDS = 5  # that a connection may be kept without a request
_LAST_SECONDS = 3  # for answers that are under way at the end


def run(app: FastAPI, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve an application until Ctrl-C or SIGTERM.

    Args:
        app: what answers.
        listening: where.
        ready: told the address, once requests are taken.
    """
    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
        server_header=False,
    )
    ready(address(host, port))
    uvicorn.Server(config).run(sockets=[listening])
