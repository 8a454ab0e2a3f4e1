"""One file on its way from a web server: in parts, resumed where it was cut, verified, renamed when whole."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from arbiscale.data.connections import ATTEMPTS, Connections, StoppedError, reason_of, status_of
from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import named_errors, sha256_of, write_json

PART_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**18


@dataclass(frozen=True)
class RemoteFile:
    """A file of a web server."""

    name: str  # here
    url: str
    size: int | None = None  # bytes; None = not known before
    sha256: str | None = None
    key: str = "data.downloads.mirrors"  # of params.yaml, where another address can be named
    below: str = ""  # folder that the file lies in, below that of the downloads
    unpacked_bytes: int = 0  # that it takes besides, when it is unpacked

    def path(self, downloads: Path) -> Path:
        """Where the file lies."""
        return downloads / self.below / self.name


def without_secrets(url: str) -> str:
    """An address as it may be shown and recorded: no user, password, query (signatures) or fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def note(path: Path, sha256: str) -> None:
    """Remember a verified file, so that 40 GB are not read again at every start."""
    with suppress(UserError):  # a folder that is read only
        write_json(_beside(path, "verified"), _state(path, sha256))


def is_noted(path: Path, sha256: str) -> bool:
    """Whether a file is the one that was verified."""
    return _read_json(_beside(path, "verified")) == _state(path, sha256)


def _state(path: Path, sha256: str) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "modified": status.st_mtime_ns, "sha256": sha256}


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


class Transfer:
    """One file on its way: a partial file, and a journal of the parts that are in it."""

    def __init__(self, file: RemoteFile, folder: Path, connections: Connections) -> None:
        self._file, self._connections = file, connections
        self._shown = f"{file.name}: {without_secrets(file.url)}"
        self._remedy = f"name another address in {file.key}"
        self._target = file.path(folder)
        self._partial = _beside(self._target, "part")
        self._journal = _beside(self._target, "parts")
        self._lock = threading.Lock()
        self._version = ""
        self._ranges = False  # whether the server gives parts
        self._here: dict[int, int] = {}  # bytes of every part
        self.size: int | None = None  # None = the server does not say
        self.todo: list[int] = []  # parts

    @property
    def received(self) -> int:
        """Bytes, by this process and those before."""
        return sum(self._here.values())

    @property
    def bytes_left(self) -> int:
        """What is still to come, as far as it is known."""
        return max(0, (self.size or 0) - self.received)

    def begin(self) -> None:
        """Ask the server for size and version, and find what is here of just that."""
        self._ask()
        if self._file.size is not None and self.size not in (None, self._file.size):
            raise UserError(
                f"{self._shown} has {self.size} bytes instead of {self._file.size}; {self._remedy}"
            )
        self._restart(self._parts_of_before() if self._ranges else set())

    def _ask(self) -> None:
        for failures in itertools.count(1):
            try:
                with self._get({"Range": "bytes=0-0"}) as response:
                    self._ranges = response.status_code == requests.codes.partial_content
                    total = response.headers.get("Content-Range", "").rpartition("/")[2]
                    length = total if self._ranges else response.headers.get("Content-Length", "")
                    tag = response.headers.get("ETag", "")
                    self._version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
                    break
            except requests.RequestException as error:
                self._pause(failures, error)
        self.size = int(length) if length.isdecimal() else None
        self._ranges = self._ranges and self.size is not None

    def _parts_of_before(self) -> set[int]:
        """Parts that an interrupted process has left of the same file."""
        if not self._partial.is_file() or not (self._version or self._file.sha256):
            return set()
        state = _read_json(self._journal)
        return set(state["done"]) if state and state["of"] == self._identity else set()

    @property
    def _identity(self) -> list[Any]:
        return [self.size, self._version, self._file.sha256, PART_BYTES]

    def _restart(self, done: set[int]) -> None:
        count = max(1, -(-self.size // PART_BYTES)) if self._ranges and self.size is not None else 1
        self._here = {part: (self._length(part) or 0) if part in done else 0 for part in range(count)}
        self.todo = [part for part in self._here if part not in done]
        self._write_journal()
        with named_errors(self._target, self._partial), self._partial.open("r+b" if done else "wb"):
            pass

    def _length(self, part: int) -> int | None:
        """Bytes of a part; None = all that comes."""
        if self.size is None or not self._ranges:
            return self.size
        return min(PART_BYTES, self.size - part * PART_BYTES)

    def _write_journal(self) -> None:
        done = [part for part in self._here if part not in self.todo]
        write_json(self._journal, {"of": self._identity, "done": done})

    def fetch(self, part: int) -> None:
        """Fetch a part; with the last one, verify the file and put it in its place.

        Where it cannot be had, no other part begins. One that is stopped stays to do.
        """
        try:
            self._fetch(part)
            self._note_part(part)
        except StoppedError:
            return
        except BaseException:
            self._connections.stop()
            raise

    def _note_part(self, part: int) -> None:
        with self._partial.open("rb") as stream:
            os.fsync(stream.fileno())  # the journal must not know of more than the disk
        with self._lock:
            self.todo.remove(part)
            self._write_journal()
            if not self.todo:
                self._finish()

    def _finish(self) -> None:
        found = sha256_of(self._partial)
        if self._file.sha256 not in (None, found):  # altered on its way: once more, and alone
            self._restart(set())
            for part in self.todo:
                self._fetch(part)
            found = sha256_of(self._partial)
        if self._file.sha256 not in (None, found):
            self._partial.unlink()
            self._journal.unlink()
            raise UserError(
                f"{self._shown} delivers another file, twice (its sha256 is {found} "
                f"instead of {self._file.sha256}); {self._remedy}"
            )
        with named_errors(self._target):
            self._partial.replace(self._target)
        self._journal.unlink()
        note(self._target, found)
        if self._file.sha256 is None:
            print(
                f"{self._file.name}: its sha256 is {found}; nothing is known to compare it with", flush=True
            )

    def _fetch(self, part: int) -> None:
        """Write a part into the partial file; what is cut goes on where it was cut, where the server can."""
        length, failures = self._length(part), 0
        self._here[part] = 0
        while True:
            self._connections.check()
            before = self._here[part]
            try:
                self._receive(part)
                if length is None or self._here[part] == length:
                    return
                error: Exception = ConnectionError("the connection was cut")
            except (requests.RequestException, HTTPError) as caught:
                error = caught
            failures = 1 if self._ranges and self._here[part] > before else failures + 1
            if not self._ranges:
                self._here[part] = 0
            self._pause(failures, error)

    def _pause(self, failures: int, error: Exception) -> None:
        """Wait before another attempt, unless there were enough."""
        if failures >= ATTEMPTS:
            raise UnavailableError(
                f"{self._shown}: cannot be fetched ({reason_of(error)}); run this again later"
            ) from None
        self._connections.pause(failures, error)

    def _receive(self, part: int) -> None:
        """Write what one response brings of a part, behind what is here of it."""
        first, length = part * PART_BYTES, self._length(part)
        headers = {}
        if self._ranges and length is not None:
            headers["Range"] = f"bytes={first + self._here[part]}-{first + length - 1}"
        if self._ranges and self._version:
            headers["If-Range"] = self._version
        with self._get(headers) as response:
            if self._ranges and response.status_code != requests.codes.partial_content:
                raise UserError(f"{self._shown}: has changed while it was fetched; run this again")
            for chunk in response.iter_content(_CHUNK_BYTES):
                self._connections.check()
                wanted = chunk if length is None else chunk[: length - self._here[part]]
                self._write(first + self._here[part], wanted)
                self._here[part] += len(wanted)

    def _write(self, position: int, content: bytes) -> None:
        with named_errors(self._target), self._partial.open("r+b") as stream:
            stream.seek(position)
            stream.write(content)

    @contextmanager
    def _get(self, headers: dict[str, str]) -> Iterator[requests.Response]:
        with self._connections.get(self._file.url, headers) as response:
            if not response.ok:
                raise UserError(f"{self._shown}: is refused ({status_of(response)}); {self._remedy}")
            yield response
