"""What this machine has read: facts of every photograph, kept outside of DVC, so that none is read twice."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from arbiscale.data.examination import Facts
from arbiscale.data.sources.source import Entry
from arbiscale.errors import UserError
from arbiscale.workspace import PHOTOGRAPHS_READ, repository_root

_WAIT_SECONDS = 60  # for another process that writes
_MOST_WAITING, _LONGEST_WAIT_SECONDS = 1000, 1  # photographs that are written at once
_TABLES = """
CREATE TABLE IF NOT EXISTS photographs (
    source TEXT, name TEXT, size INTEGER, stamp TEXT, code TEXT, facts TEXT, reason TEXT,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crops (manifest TEXT PRIMARY KEY, code TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A photograph as it was when it was read."""

    size: int
    stamp: str
    code: str  # that read it
    facts: Facts | None  # None: it is rejected
    reason: str  # why

    def is_of(self, entry: Entry) -> bool:
        """Whether the source still lists it so."""
        return (self.size, self.stamp) == (entry.size, entry.stamp)


class Index:
    """A table in SQLite, which several processes may use.

    What is added is written some at a time: a process that is killed loses what it added in the last second.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._added: list[tuple[str | int | None, ...]] = []  # not yet written
        self._written = monotonic()

    def known(self, source: str) -> Iterator[tuple[str, Known]]:
        """All that is known of a source, with the photographs' names and in their order, few at a time."""
        self.write()
        rows = self._connection.execute(
            "SELECT name, size, stamp, code, facts, reason FROM photographs WHERE source = ? ORDER BY name",
            (source,),
        )
        for name, size, stamp, code, facts, reason in rows:
            yield name, Known(size, stamp, code, Facts(**json.loads(facts)) if facts else None, reason)

    def add(self, source: str, entry: Entry, code: str, facts: Facts | None, reason: str = "") -> None:
        """Note what was read."""
        text = json.dumps(dataclasses.asdict(facts)) if facts else None
        self._added.append((source, entry.name, entry.size, entry.stamp, code, text, reason))
        if len(self._added) >= _MOST_WAITING or monotonic() - self._written > _LONGEST_WAIT_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what was added: other processes see it, and none can lose it any more."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO photographs VALUES (?, ?, ?, ?, ?, ?, ?)", self._added
            )
        self._added.clear()
        self._written = monotonic()

    def remove(self, source: str, names: Iterable[str]) -> None:
        """Forget photographs that are gone."""
        with self._connection:
            self._connection.executemany(
                "DELETE FROM photographs WHERE source = ? AND name = ?", ((source, name) for name in names)
            )

    def note_crops(self, manifest_sha256: str, code: str) -> None:
        """Note which code cut the crops of a manifest."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO crops VALUES (?, ?)", (manifest_sha256, code))

    def cut_by(self, manifest_sha256: str, code: str) -> bool:
        """Whether this code cut the crops of a manifest on this machine."""
        row = (manifest_sha256, code)
        return bool(
            self._connection.execute("SELECT 1 FROM crops WHERE manifest = ? AND code = ?", row).fetchone()
        )


@contextmanager
def open_index(path: Path | None = None) -> Iterator[Index]:
    """The repository's index, made where there is none.

    Raises:
        UserError: it is damaged or cannot be written.
    """
    path = path or repository_root() / PHOTOGRAPHS_READ
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_TABLES)
            index = Index(connection)
            try:
                yield index
            finally:  # also of a scan that ends early
                index.write()
    except sqlite3.Error as error:
        raise UserError(f"{path}: cannot be used ({error}); delete it: photographs are read again") from None
