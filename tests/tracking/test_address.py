import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest

from arbiscale.errors import UnavailableError
from arbiscale.tracking import address as store_address
from arbiscale.tracking.address import configured_uri, probe, shown, store_uri


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
    assert shown("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"


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
def test_nobody_there_is_said_at_once(scheme: str) -> None:
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
def test_any_other_answer_is_a_sign_of_life(code: int) -> None:
    with answering(code) as uri:
        probe(uri)


def test_a_nonsense_port_is_named() -> None:
    with pytest.raises(UnavailableError, match="http://host:port/"):
        probe("http://host:port/")


def test_files_need_no_probe() -> None:
    probe("sqlite:////nowhere/mlflow.db")
