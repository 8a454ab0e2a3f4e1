"""Requests to web servers, several at a time: repeated after growing pauses, and all stopped at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import requests
from requests.adapters import HTTPAdapter

ATTEMPTS = 6  # without a byte arriving
PAUSE_SECONDS = 0.5  # before the second attempt; doubled before each further one
LONGEST_PAUSE_SECONDS = 60  # that a server gets which asks for more (Retry-After)
PASSING = (429, 500, 502, 503, 504)
_TIMEOUT_SECONDS = (10, 60)  # to connect; without a byte arriving


class StoppedError(Exception):
    """Something else cannot be had, or the user interrupts."""


class BusyError(requests.RequestException):
    """A server refuses for a while.

    Attributes:
        seconds: for which it asks.
    """

    def __init__(self, status: str, asked: str) -> None:
        super().__init__(status)
        self.seconds = min(int(asked), LONGEST_PAUSE_SECONDS) if asked.isdecimal() else 0


class Connections:
    """Connections that are kept between requests; proxies and logins are those of the environment."""

    def __init__(self, count: int) -> None:
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=count))
        self._stop = threading.Event()
        self._open: set[requests.Response] = set()

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """End all pauses, and the reading of all answers: what waits for a byte waits no longer."""
        self._stop.set()
        for response in [*self._open]:
            with suppress(ValueError, RuntimeError, OSError):  # it has ended meanwhile
                response.raw.shutdown()

    def check(self) -> None:
        """Go on unless all is stopped.

        Raises:
            StoppedError: it is.
        """
        if self._stop.is_set():
            raise StoppedError

    def pause(self, failures: int, error: Exception | None) -> None:
        """Wait after so many failures, the last one as given, in front of another attempt.

        Raises:
            StoppedError: all is stopped.
        """
        asked = error.seconds if isinstance(error, BusyError) else 0
        self._stop.wait(max(asked, PAUSE_SECONDS * 2 ** (failures - 1)))
        self.check()

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """The answer, which may be a refusal; its body is read in the block.

        Raises:
            BusyError: the server refuses for a while.
            requests.RequestException: it cannot be reached.
            StoppedError: all is stopped.
        """
        plain = {"Accept-Encoding": "identity"}  # ranges count the bytes of the file
        with self._session.get(
            url, headers=plain | headers, stream=True, timeout=_TIMEOUT_SECONDS
        ) as response:
            self._open.add(response)
            try:
                self.check()
                if response.status_code in PASSING:
                    raise BusyError(status_of(response), response.headers.get("Retry-After", ""))
                yield response
            finally:
                self._open.discard(response)


def status_of(response: requests.Response) -> str:
    """An answer's status, such as `404 Not Found`."""
    return f"{response.status_code} {response.reason or ''}".strip()


def reason_of(error: Exception) -> str:
    """Why, in one line, without the address: it may hold what is secret."""
    if isinstance(error, BusyError):
        return str(error)
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no reason given'}"
