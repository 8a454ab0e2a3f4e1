"""Where runs and models are recorded, and whether it answers; imports no MLflow."""

from __future__ import annotations

import http.client
import os
import re
import socket
import sqlite3
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from arbiscale import errors
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import load_section
from arbiscale.errors import UnavailableError, UserError
from arbiscale.workspace import repository_root

PROBE_SECONDS = 5
OPENING_SECONDS, LOCKED_SECONDS = 120, 20
VARIABLE = "MLFLOW_TRACKING_URI"
PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
REMEDY = "start it, or change MLFLOW_TRACKING_URI or runtime.mlflow_uri"


def configured_uri() -> str:
    """`runtime.mlflow_uri` of the repository's params.yaml; empty where there is no such file."""
    params = repository_root() / "params.yaml"
    return load_section(params, "runtime", RuntimeSettings).mlflow_uri if params.is_file() else ""


def store_uri(configured: str) -> str:
    """The tracking URI: MLFLOW_TRACKING_URI, else the configured one, else SQLite in the repository.

    A relative SQLite file is taken from the repository's root, as DVC's temporary workspaces vanish.
    """
    uri = os.environ.get(VARIABLE) or configured or "sqlite:///mlflow.db"
    file = database_file(uri)
    return f"sqlite:///{repository_root() / file}" if file else uri


def database_file(uri: str) -> Path | None:
    """The file of an SQLite URI, None of any other."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


def portable(uri: str) -> str:
    """The URI without login, as it stays when the repository is moved: a database in it, from its root."""
    file = database_file(uri)
    if file is None or not file.is_relative_to(repository_root()):
        return shown(uri)
    return f"sqlite:///{file.relative_to(repository_root())}"


def shown(text: str) -> str:
    """An address, or any text, without the names, passwords and queries that addresses in it hold."""
    text = re.sub(r"://[^/?#\s]*@", "://", text)
    text = re.sub(r"(https?://[^\s'\"?#]*\?)[^\s'\"#]+", r"\1***", text)
    return re.sub(r"([?&]\w*password=)[^&\s]*", r"\1***", text)


def first_line(error: BaseException) -> str:
    """Of an error's message, as it may be shown."""
    return shown(errors.first_line(error))


def require_place(location: str) -> None:
    """Check that files can be put where a store on this machine keeps those of runs.

    Args:
        location: of an experiment's artifacts; other places than folders are passed over.

    Raises:
        UserError: they cannot.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return
    folder = Path(urllib.request.url2pathname(parts.path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder}: takes no files of runs ({error.strerror}); make it a folder that you may write to"
        ) from None


def refusal(error: Exception) -> str | None:
    """What MLflow says of any call, in a line: a store may go between any two. None of other errors."""
    ours = type(error).__module__.partition(".")[0] == "mlflow"
    return f"the tracking store: {first_line(error)}; see that it answers, and try again" if ours else None


def signed_in(uri: str) -> str:
    """An HTTP address without its name and password, which go where MLflow looks for them.

    So they are in no address that MLflow, or an error of it, passes on.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return shown(uri)


def probe(uri: str) -> None:
    """Check that a server answers, as MLflow itself retries for minutes.

    Raises:
        UnavailableError: a server that is not reachable within seconds, or is out of order.
    """
    parts = urlsplit(uri)
    if parts.hostname is None:
        return
    try:
        if parts.scheme in {"http", "https"}:
            # Without name and password: any answer will do.
            with urllib.request.urlopen(f"{shown(uri).rstrip('/')}/health", timeout=PROBE_SECONDS):
                return
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
        if port:
            socket.create_connection((parts.hostname, port), timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise UnavailableError(
                f"{shown(uri)}: the tracking server is out of order (HTTP {error.code}); {REMEDY}"
            ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # its certificate is MLflow's to judge
            raise UnavailableError(
                f"{shown(uri)}: the tracking server cannot be reached ({reason}); {REMEDY}"
            ) from None


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Make a store MLflow's default inside the block.

    MLflow's registry on a database looks logged models up in the default store, whichever client asks. In one
    of DVC's temporary workspaces that would be a new database.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


@contextmanager
def opening(file: Path) -> Iterator[None]:
    """The lock under which MLflow opens its SQLite file, which it creates or migrates then.

    Raises:
        UserError: a place that cannot be written, a file that is no database, or one that another process
            locks.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=OPENING_SECONDS):
            if file.exists():
                _check(file)
            yield
    except Timeout:
        raise UserError(
            f"{file}.lock: another process has held it for {OPENING_SECONDS} s; end that one"
        ) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be opened ({error.strerror})") from None


def _check(file: Path) -> None:
    """Refuse what MLflow would try again and again for an hour."""
    if not os.access(file, os.R_OK | os.W_OK):
        raise UserError(f"{file}: cannot be written; change its permissions or set MLFLOW_TRACKING_URI")
    address = f"{file.resolve().as_uri()}?mode=rw"  # also to undo what a killed process left half written
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS)) as database:
            database.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        raise UserError(
            f"{file}: another process has locked it for {LOCKED_SECONDS} s; end that one"
        ) from None
    except sqlite3.Error as error:
        raise UserError(f"{file}: is not a usable MLflow database ({error}); move it away") from None
