"""MLflow's SQLite file: made by whoever comes first, refused where MLflow would fail on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from arbiscale.errors import UserError
from arbiscale.files import atomic_file

CREATION_SECONDS = 120
LOCK_TIMEOUT_SECONDS = 20


def prepare_database(file: Path, revision: str, create: Callable[[Path], None]) -> None:
    """Create the database where there is none, and refuse what this MLflow would fail on.

    Args:
        file: the database. It is made whole under another name, then put in place.
        revision: the schema revision that the installed MLflow wants.
        create: makes an empty database of that revision at a path.

    Raises:
        UserError: a place that cannot be written, a file that is no MLflow database, one of another version,
            or one held by another process.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=CREATION_SECONDS):
            if not file.exists():
                with atomic_file(file) as partial:
                    create(partial)
    except Timeout:
        raise UserError(
            f"{file}.lock: another process has held it for {CREATION_SECONDS} s; end that one"
        ) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be created ({error.strerror})") from None
    _check(file, revision)


def _check(file: Path, revision: str) -> None:
    """Refuse a file that this MLflow would fail on, or would migrate unasked."""
    if not os.access(file, os.R_OK | os.W_OK):
        raise UserError(f"{file}: cannot be written; change its permissions or set MLFLOW_TRACKING_URI")
    address = f"{file.resolve().as_uri()}?mode=rw"  # also to undo what a killed process left half written
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT_SECONDS)) as database:
            rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise UserError(
                f"{file}: another process has held it for {LOCK_TIMEOUT_SECONDS} s; end that one"
            ) from None
        raise UserError(f"{file}: is not a usable MLflow database ({error}); move it away") from None
    found = rows[0][0] if rows else None
    if found != revision:
        raise UserError(
            f"{file}: is a database of another MLflow version (schema {found}, this one wants {revision}); "
            f"copy it and run `mlflow db upgrade sqlite:///{file}`, or move it away"
        )
