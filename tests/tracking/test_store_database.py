"""One database, made once; others are refused and left as they are."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from arbiscale.errors import UserError
from arbiscale.tracking import address as store_database
from arbiscale.tracking.address import prepare_database


def make_database(file: Path, revision: str | None) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        if revision:
            database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


def never(file: Path) -> None:
    raise AssertionError(f"{file} is there already")


def test_whoever_comes_first_makes_it(tmp_path: Path) -> None:
    file = tmp_path / "below/mlflow.db"
    made: list[Path] = []

    def create(partial: Path) -> None:
        made.append(partial)
        partial.unlink()
        make_database(partial, "abc")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: prepare_database(file, "abc", create), range(4)))
    assert len(made) == 1
    assert made[0] != file
    assert file.is_file()


def test_what_could_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with pytest.raises(AssertionError):
        prepare_database(file, "abc", never)
    assert not file.exists()


def test_a_place_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    file = tmp_path / "taken/mlflow.db"
    with pytest.raises(UserError, match=f"{file}: cannot be created"):
        prepare_database(file, "abc", never)


def test_a_process_that_holds_the_lock_for_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mlflow.db"
    monkeypatch.setattr(store_database, "CREATION_SECONDS", 0)
    with FileLock(f"{file}.lock"), pytest.raises(UserError, match=f"{file}.lock: another process has held"):
        prepare_database(file, "abc", never)


def test_the_wanted_revision_passes(tmp_path: Path) -> None:
    make_database(tmp_path / "a b.db", "abc")
    prepare_database(tmp_path / "a b.db", "abc", never)


@pytest.mark.parametrize("revision", ["old", None])
def test_another_revision_is_refused_with_the_remedy(tmp_path: Path, revision: str | None) -> None:
    file = tmp_path / "mlflow.db"
    make_database(file, revision)
    with pytest.raises(
        UserError, match=f"{file}: is a database of another MLflow version.*mlflow db upgrade"
    ):
        prepare_database(file, "abc", never)


INTERRUPTED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
database.execute("BEGIN")
database.execute("UPDATE alembic_version SET version_num = 'half'")
database.execute("CREATE TABLE filler (content)")
database.executemany("INSERT INTO filler VALUES (?)", [("x" * 4000,) for _ in range(50)])
os._exit(9)
"""


def test_what_a_killed_process_left_half_written_is_undone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    make_database(file, "abc")
    subprocess.run([sys.executable, "-c", INTERRUPTED, str(file)], check=False)
    assert (tmp_path / "mlflow.db-journal").stat().st_size > 0
    prepare_database(file, "abc", never)
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_a_database_held_by_another_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mlflow.db"
    make_database(file, "abc")
    monkeypatch.setattr(store_database, "LOCK_TIMEOUT_SECONDS", 0)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=f"{file}: another process has held it for 0 s; end that one"):
            prepare_database(file, "abc", never)


@pytest.mark.parametrize("content", [b"", b"this is a text, and no database at all" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{file}: is not a usable MLflow database.*move it away"):
        prepare_database(file, "abc", never)
    assert file.read_bytes() == content
