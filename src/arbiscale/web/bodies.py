"""Bodies of requests, read within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from arbiscale.web.refusals import LargeBodyError, SlowClientError
from arbiscale.web.settings import ServerLimits


async def read_body(request: Request, limits: ServerLimits) -> bytes:
    """The body of a request.

    What exceeds the limit is read on and forgotten, while time allows, as clients read no answer before.

    Raises:
        LargeBodyError: it is too large.
        SlowClientError: it was not there in time.
    """
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limits.body_bytes:
                    body += part
                else:
                    body.clear()
    except TimeoutError:
        if size <= limits.body_bytes:
            raise SlowClientError(
                f"the body: was not there within {limits.body_seconds:g} s; send it again"
            ) from None
    if size > limits.body_bytes:
        raise LargeBodyError(f"the body: at most {limits.body_bytes:,} bytes are taken")
    return bytes(body)


async def gone(request: Request) -> None:
    """Wait until the client of a request, whose body was read, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
