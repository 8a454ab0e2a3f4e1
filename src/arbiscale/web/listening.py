"""Where a server listens; imports no server."""

from __future__ import annotations

import socket

from arbiscale.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; raises UserError where it cannot be had."""
    if not host:  # to the system: any address
        raise UserError("--host: is empty; 127.0.0.1 is this machine alone, 0.0.0.0 lets others in")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, TypeError, UnicodeError) as error:  # the latter two of what can be no name
        reason = str(getattr(error, "strerror", None) or error).partition(" (while attempting")[0]
        raise UserError(
            f"{host}:{port}: cannot be listened on ({reason}); give another --port or --host"
        ) from None


def address(host: str, port: int) -> str:
    """`http://HOST:PORT`."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
