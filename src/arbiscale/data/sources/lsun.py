"""LSUN's databases: an LMDB a category and split, whose values are picture files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from arbiscale.data.sources.archives import Member
from arbiscale.data.sources.source import UnreadableError
from arbiscale.errors import UserError


@cache
def _open(folder: Path) -> Any:
    """The database of a folder: a process must not open it twice."""
    import lmdb

    try:
        return lmdb.open(str(folder), readonly=True, create=False, lock=False, readahead=False)
    except lmdb.Error as error:
        raise UserError(f"{folder}: is no database that can be read ({error}); delete it") from None


class Database:
    """A folder's data.mdb, read in place, without a lock: nothing is written, not even beside it.

    A picture's name is the folder's and its key: `church_outdoor_train_lmdb/0a1b.webp`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = _open(folder.resolve())
        self._stamp = str((folder / "data.mdb").stat().st_mtime_ns)

    def members(self) -> Iterator[Member]:
        """All pictures, in the keys' order; no value is read."""
        with self._environment.begin(buffers=True) as transaction:
            for key, value in transaction.cursor():
                name = bytes(key).decode("ascii", errors="backslashreplace")
                yield Member(f"{self._folder.name}/{name}.webp", len(value), self._stamp)

    def read(self, name: str) -> bytes:
        """One picture's file."""
        with self._environment.begin() as transaction:
            content = transaction.get(Path(name).stem.encode())
        if content is None:
            raise UnreadableError("is gone from its database")
        return bytes(content)
