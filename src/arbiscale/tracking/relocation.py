"""A repository that was moved or copied: MLflow's database names its files by where they used to be."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from arbiscale.errors import UserError

_COLUMNS = (  # of MLflow's tables, that hold addresses of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_move(database: Path, artifacts: Path) -> None:
    """Have a database name the files in `artifacts`, beside it, where it names a former place of theirs.

    A former place is a folder of the same name; others were chosen and stay. To be called under the
    database's lock, before MLflow opens it.

    Args:
        database: SQLite; none, and nothing is done.
        artifacts: the folder of the files.

    Raises:
        UserError: the files were not moved along.
    """
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if "experiments" not in tables:
            return
        named = connection.execute("SELECT artifact_location FROM experiments").fetchall()
        for former in sorted({location for (location,) in named if _is_former(location, artifacts)}):
            place = Path(unquote(urlsplit(former).path))
            if not artifacts.exists() and place.exists():
                raise UserError(
                    f"{database}: was moved or copied without its files; copy {place} to {artifacts}"
                )
            for table, column in _COLUMNS:
                if table in tables:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (artifacts.as_uri(), len(former) + 1, former, len(former) + 1, f"{former}/"),
                    )
            print(f"{database}: its files are taken from {artifacts}, no longer {place}", file=sys.stderr)


def _is_former(location: str | None, artifacts: Path) -> bool:
    address = urlsplit(location or "")
    return (
        address.scheme == "file"
        and address.path.rpartition("/")[2] == artifacts.name
        and location != artifacts.as_uri()
    )
