"""compose.yaml is what the specification allows, its commands are what the installed programs take."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from mlflow.cli import cli

from tests import compose

VALUES = compose.example() | {"DATABASE_PASSWORD": "a", "STORAGE_KEY": "b", "STORAGE_SECRET": "c"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose.services(VALUES)


def test_it_follows_the_specification() -> None:
    check = (
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        compose.FILE,
    )
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mlflows_server_takes_its_command(services: dict[str, Any]) -> None:
    program, name, *arguments = services["tracking"]["command"]
    assert program == "mlflow"
    server = cli.commands[name]
    taken = server.make_context(name, arguments).params
    assert taken["artifacts_destination"] == "s3://arbiscale/mlflow"
    assert taken["allowed_hosts"] == VALUES["ALLOWED_HOSTS"]
    assert (taken["host"], taken["port"]) == ("0.0.0.0", 5000)
    known = {name for option in server.params for name in [option.envvar] if isinstance(name, str)}
    assert "MLFLOW_BACKEND_STORE_URI" in known & {*services["tracking"]["environment"]}


def test_the_image_is_the_version_that_clients_are_tested_with(services: dict[str, Any]) -> None:
    constraints = (compose.FOLDER.parents[1] / "constraints.txt").read_text().splitlines()
    (version,) = (line.removeprefix("mlflow==") for line in constraints if line.startswith("mlflow=="))
    images = {services[name]["image"] for name in ("bucket", "tracking")}
    assert images == {f"ghcr.io/mlflow/mlflow:v{version}-full"}


def test_services_wait_for_what_they_need(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            lasting = "healthcheck" in services[needed]
            assert how["condition"] == ("service_healthy" if lasting else "service_completed_successfully")
        assert "healthcheck" in service or service["restart"] == "no", name


def test_no_password_is_written_down_and_none_may_be_missing() -> None:
    secrets = ("DATABASE_PASSWORD", "STORAGE_KEY", "STORAGE_SECRET")
    assert [compose.example()[name] for name in secrets] == ["", "", ""]
    for name in secrets:
        with pytest.raises(KeyError, match=f"{name} is missing in .env"):
            compose.services(VALUES | {name: ""})
    used = {match[1] for match in compose.VARIABLE.finditer(compose.FILE.read_text())}
    assert used == {*compose.example()}
