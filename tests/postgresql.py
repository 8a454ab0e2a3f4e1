"""A real PostgreSQL server.

Its programs are those on the PATH, or where Debian's packages put them. Where there are none its tests skip;
with ARBISCALE_REQUIRE_POSTGRESQL=1 they fail instead.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

DEBIAN = "usr/lib/postgresql/*/bin/initdb"  # a folder a version
NAME, PASSWORD = "mlflow", "not-a-secret"  # of the user, whose database is called alike
OPTIONS = "-c listen_addresses=127.0.0.1 -c fsync=off"


@dataclass(frozen=True)
class Database:
    """An empty database on 127.0.0.1, entered with a password."""

    port: int
    programs: Path  # folder of pg_isready and others


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, None if this machine has none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next((path.parent for path in sorted(Path("/").glob(DEBIAN), reverse=True)), None)


def unprivileged() -> dict[str, Any]:
    """How to start programs that refuse to run as root: as another user."""
    if os.geteuid():
        return {}
    known = {each.pw_name: each for each in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Database]:
    programs, required = find_programs(), os.environ.get("ARBISCALE_REQUIRE_POSTGRESQL") == "1"
    if programs is None:
        reason = f"no PostgreSQL here: no initdb on the PATH, nor as /{DEBIAN}"
        pytest.fail(f"ARBISCALE_REQUIRE_POSTGRESQL=1, but {reason}") if required else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:  # pytest's folders are open to root alone
        folder, port, who = Path(name), free_port(), unprivileged()
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            os.chown(path, who.get("user", -1), who.get("group", -1))

        def run(program: str, *arguments: str) -> None:
            environment = os.environ | {"PGPASSWORD": PASSWORD}
            # Into a file: the server keeps what it inherits open.
            with (folder / "log").open("ab") as log:
                done = subprocess.run(
                    [programs / program, *arguments],
                    **{"cwd": folder, "env": environment, "stdout": log, "stderr": log, **who},
                )
            assert done.returncode == 0, (folder / "log").read_text()

        data = ("-D", f"{folder}/data")
        run(
            "initdb",
            *data,
            "-N",
            "-U",
            NAME,
            "--auth=scram-sha-256",
            f"--pwfile={folder}/password",
            "-E",
            "UTF8",
        )
        run("pg_ctl", *data, "-w", "-o", f"{OPTIONS} -p {port} -k {folder}", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", NAME, NAME)
            yield Database(port, programs)
        finally:
            run("pg_ctl", *data, "-m", "immediate", "stop")
