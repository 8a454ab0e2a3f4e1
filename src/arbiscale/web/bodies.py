"""Bodies of requests, read within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from arbiscale.web.refusals import BusyError, LargeBodyError, Refusal, SlowClientError
from arbiscale.web.settings import ServerLimits


class Bodies:
    """Reads bodies; those that are on their way at one time share a bounded memory."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits, self._held_bytes = limits, 0

    async def read(self, request: Request) -> bytes:
        """The body of a request.

        What exceeds a limit is read on and forgotten, while time allows, as clients read no answer before.

        Raises:
            LargeBodyError: it is too large.
            BusyError: too many others are on their way.
            SlowClientError: it was not there in time.
        """
        body, refusal = bytearray(), None
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    refusal = refusal or self._refusal(len(body), len(part))
                    if refusal is None:
                        body += part
                        self._held_bytes += len(part)
                    else:
                        self._held_bytes -= len(body)
                        body.clear()
        except TimeoutError:
            line = f"the body: was not there within {self._limits.body_seconds:g} s; send it again"
            refusal = refusal or SlowClientError(line)
        except ClientDisconnect:
            raise HTTPException(499, "the client has gone") from None
        finally:
            self._held_bytes -= len(body)
        if refusal:
            raise refusal
        return bytes(body)

    def _refusal(self, read: int, more: int) -> Refusal | None:
        """Why no more bytes of a body are taken; None = they are."""
        if read + more > self._limits.body_bytes:
            return LargeBodyError(f"the body: at most {self._limits.body_bytes:,} bytes are taken")
        if self._held_bytes + more > self._limits.bodies_bytes:
            return BusyError("the body: too many others are on their way; try again later")
        return None


async def gone(request: Request) -> None:
    """Wait until the client of a request, whose body was read, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
