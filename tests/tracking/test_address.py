import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest
from filelock import FileLock

from arbiscale.errors import UnavailableError, UserError
from arbiscale.tracking import address as store_address
from arbiscale.tracking.address import (
    configured_uri,
    first_line,
    opening,
    portable,
    probe,
    shown,
    signed_in,
    store_uri,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def test_the_environment_precedes_the_configuration(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_uri("") == f"sqlite:///{root}/mlflow.db"
    assert store_uri("http://here:1") == "http://here:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:2")
    assert store_uri("http://here:1") == "http://there:2"


def test_relative_files_are_taken_from_the_repository(root: Path) -> None:
    assert store_uri("sqlite:///logs/runs.db") == f"sqlite:///{root}/logs/runs.db"
    assert store_uri("sqlite:////var/runs.db") == "sqlite:////var/runs.db"


def test_the_configuration_is_read_where_there_is_one(root: Path) -> None:
    assert configured_uri() == ""
    project = Path(__file__).parents[2]
    text = (project / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("mlflow_uri: ''", "mlflow_uri: http://here:1"))
    assert configured_uri() == "http://here:1"


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://me:secret@host:5432/runs") == "postgresql://host:5432/runs"
    assert (
        shown("postgresql://host/runs?user=me&password=secret&a=1")
        == "postgresql://host/runs?user=me&password=***&a=1"
    )
    assert shown("sqlite:////tmp/me:secret@home/mlflow.db") == "sqlite:////tmp/me:secret@home/mlflow.db"
    signed = "['a=https://host/a.zip?signature=secret#sha256=0', 'http://host/b.zip?token=secret&v=1']"
    assert shown(signed) == "['a=https://host/a.zip?***#sha256=0', 'http://host/b.zip?***']"
    error = ValueError("\nAPI request to https://me:se@cret@host:5/api failed, of me@host\nTraceback")
    assert first_line(error) == "API request to https://host:5/api failed, of me@host"
    assert portable("postgresql://me:secret@host/runs") == "postgresql://host/runs"


def test_name_and_password_of_an_http_address_go_where_mlflow_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "other")
    assert signed_in("postgresql://me:secret@host/runs") == "postgresql://me:secret@host/runs"
    assert signed_in("http://host:1") == "http://host:1"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "other"
    assert signed_in("http://me:s%40cret@host:1/at") == "http://host:1/at"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == (
        "me",
        "s@cret",
    )


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def answering(code: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql"])
def test_an_unreachable_server_is_reported_at_once(scheme: str) -> None:
    uri = f"{scheme}://me:secret@127.0.0.1:{free_port()}/x"
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="cannot be reached") as caught:
        probe(uri)
    assert time.monotonic() - begun < 2
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_address, "PROBE_SECONDS", 0.2)
    with create_server(("127.0.0.1", 0)) as server, pytest.raises(UnavailableError, match="timed out"):
        probe(f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_broken_server_is_named() -> None:
    with answering(503) as uri, pytest.raises(UnavailableError, match=f"{uri}.*HTTP 503"):
        probe(uri)


@pytest.mark.parametrize("code", [200, 401, 403, 404])
def test_any_other_answer_will_do(code: int) -> None:
    with answering(code) as uri:
        probe(uri)


def test_a_nonsense_port_is_named() -> None:
    with pytest.raises(UnavailableError, match="http://host:port/"):
        probe("http://host:port/")


def test_files_need_no_probe() -> None:
    probe("sqlite:////nowhere/mlflow.db")


def test_a_place_that_cannot_hold_the_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    file = tmp_path / "taken/mlflow.db"
    with pytest.raises(UserError, match=f"{file}: cannot be opened"), opening(file):
        pass


def test_a_process_that_holds_the_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    monkeypatch.setattr(store_address, "OPENING_SECONDS", 0)
    with (
        FileLock(f"{file}.lock"),
        pytest.raises(UserError, match=f"{file}.lock: another process has held"),
        opening(file),
    ):
        pass


INTERRUPTED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
database.execute("BEGIN")
database.execute("CREATE TABLE filler (content)")
database.executemany("INSERT INTO filler VALUES (?)", [("x" * 4000,) for _ in range(50)])
os._exit(9)
"""


def test_what_a_killed_process_left_half_written_is_undone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE experiments (name)")
    subprocess.run([sys.executable, "-c", INTERRUPTED, str(file)], check=False)
    assert (tmp_path / "mlflow.db-journal").stat().st_size > 0
    with opening(file):
        assert not (tmp_path / "mlflow.db-journal").exists()


def test_a_database_that_another_process_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    monkeypatch.setattr(store_address, "LOCKED_SECONDS", 0)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=f"{file}: another process has locked it for 0 s"), opening(file):
            pass


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content := b"this is a text, and no database at all" * 100)
    with (
        pytest.raises(UserError, match=f"{file}: is not a usable MLflow database.*move it away"),
        opening(file),
    ):
        pass
    assert file.read_bytes() == content
