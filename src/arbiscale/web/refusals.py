"""Why a request is refused: errors with a status of HTTP."""

from __future__ import annotations

from arbiscale.errors import UserError


class Refusal(UserError):
    """A request that is not answered; any other `UserError` is one of status 422.

    Attributes:
        status: of HTTP, from 400 on.
    """

    status = 422


class UnknownError(Refusal):
    """Nothing of that name is here, or is kept any more."""

    status = 404


class SlowClientError(Refusal):
    """The body did not arrive in time."""

    status = 408


class LargeBodyError(Refusal):
    """The body is larger than what is taken."""

    status = 413


class BusyError(Refusal):
    """Others come first; the same request may succeed later."""

    status = 429
