"""A team's servers: MLflow on PostgreSQL as compose.yaml starts it, and an S3 store for files.

Without boto3 and moto their tests skip.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import compose
from tests.postgresql import PASSWORD, Database, free_port

KEY, SECRET = "team-key", "team-secret"  # of the store
SERVER_SECONDS = 400  # a busy machine; on a quiet one 10


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of one without buckets."""
    pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket_client(s3_server: str) -> Any:
    """Of boto3."""
    import boto3

    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=s3_server, **keys)


@dataclass(frozen=True)
class Tracking:
    """MLflow's server, as compose.yaml starts it."""

    port: int
    services: dict[str, Any]

    @property
    def url(self) -> str:
        """The one address that it is reached by."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, service: str, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """A service's command with this machine's port and addresses, and its environment."""
        own = [re.sub(r"\b5000\b", str(self.port), word.replace("0.0.0.0", "127.0.0.1")) for word in words]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return own, {"PATH": path, "HOME": os.environ["HOME"], **self.services[service]["environment"]}

    def run(self, service: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        command, environment = self.command(service, words)
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def check(self, service: str) -> bool:
        """Whether its health check passes."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, words).returncode == 0


@pytest.fixture(scope="module")
def tracking_server(
    s3_server: str, postgresql: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracking]:
    port = free_port()
    given = {"DATABASE_PASSWORD": PASSWORD, "STORAGE_KEY": KEY, "STORAGE_SECRET": SECRET}
    given |= {"ALLOWED_HOSTS": f"127.0.0.1:{port}"}
    text = json.dumps(compose.services(compose.example() | given))
    text = text.replace("database:5432", f"127.0.0.1:{postgresql.port}").replace(
        "http://storage:8333", s3_server
    )
    server = Tracking(port, json.loads(text))
    for _ in range(2):  # at the second start the bucket is there
        made = server.run("bucket", server.services["bucket"]["command"])
        assert made.returncode == 0, made.stderr
    command, environment = server.command("tracking", server.services["tracking"]["command"])
    folder = tmp_path_factory.mktemp("tracking")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        patience = time.monotonic() + SERVER_SECONDS
        while not server.check("tracking"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < patience, (folder / "log").read_text()
            time.sleep(0.5)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
