import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arbiscale.cli import registry
from arbiscale.cli.app import app
from arbiscale.errors import UserError
from arbiscale.tracking.journal import open_journal
from arbiscale.tracking.store import open_store

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()


@pytest.fixture
def repository(project: Path) -> Path:
    (project / "params.yaml").write_text(PARAMS)
    return project


@pytest.fixture
def packed(repository: Path) -> Path:
    folder = repository / "models/packed"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def write_record(repository: Path, stage: str, run_id: str, started: str) -> None:
    (repository / "runs").mkdir(exist_ok=True)
    record = {"stage": stage, "run_id": run_id, "started": started, "seconds": 12.3, "experiment": None}
    (repository / "runs" / f"{stage}.json").write_text(json.dumps(record))


def test_runs_shows_stage_run_and_status(repository: Path) -> None:
    with open_store().run("download", tags={}, params={}) as run:
        pass
    write_record(repository, "crop", "0" * 32, "2026-01-01T00:00:05+00:00")
    write_record(repository, "download", run.id, "2026-01-01T00:00:01+00:00")
    result = CliRunner().invoke(app, ["runs"], catch_exceptions=False)
    _, first, second = result.output.splitlines()
    assert first.split()[:3] == ["download", run.id, "FINISHED"]
    assert second.split()[:3] == ["crop", "0" * 32, "not"]
    assert "not in this store" in second


def test_runs_sync_sends_what_a_killed_process_left(repository: Path) -> None:
    store = open_store()
    info = store.client.create_run(store.experiment_id).info
    with open_journal(info.run_id) as journal:
        journal.append("store", uri=store.uri)
        journal.log_metrics({"loss": 1.0}, 3)
    outputs = [CliRunner().invoke(app, ["runs", "sync"], catch_exceptions=False).output for _ in range(2)]
    assert outputs == [f"{info.run_id}: sent\n", "Nothing was left to send.\n"]
    found = store.client.get_run(info.run_id)
    assert (found.info.status, found.data.metrics) == ("KILLED", {"loss": 1.0})


def test_runs_without_or_with_broken_records(repository: Path) -> None:
    with pytest.raises(UserError, match="holds no run yet"):
        registry.runs()
    write_record(repository, "crop", "0" * 32, "2026-01-01T00:00:05+00:00")
    record = json.loads((repository / "runs/crop.json").read_text())
    for broken in (
        {},
        record | {"seconds": None},
        record | {"started": "yesterday"},
        [],
        record | {"started": 3},
    ):
        (repository / "runs/crop.json").write_text(json.dumps(broken))
        with pytest.raises(UserError, match=r"runs/crop\.json: is not a run's record"):
            registry.runs()


def test_register(packed: Path) -> None:
    run = CliRunner().invoke
    assert "arbiscale version 1 registered:" in run(app, ["register"], catch_exceptions=False).output
    assert "arbiscale version 1 found" in run(app, ["register"], catch_exceptions=False).output
    version = open_store().client.get_model_version_by_alias("arbiscale", "challenger")
    assert int(version.version) == 1


def test_baselines_are_registered_under_their_own_names(packed: Path) -> None:
    root = packed.parents[1]
    (root / "params.yaml").write_text(PARAMS.replace("  train: []", "  train: [liif]"))
    with pytest.raises(UserError, match=r"models/baselines/liif: is missing; `dvc repro`"):
        registry.register()
    shutil.copytree(packed, packed.parent / "baselines/liif")
    output = CliRunner().invoke(app, ["register"], catch_exceptions=False).output
    assert [line.split()[0] for line in output.splitlines()] == ["arbiscale", "arbiscale-liif"]
    version = open_store().client.get_model_version_by_alias("arbiscale-liif", "challenger")
    assert int(version.version) == 1


def test_register_without_a_model(repository: Path) -> None:
    with pytest.raises(UserError, match=r"models/packed: is missing; `dvc repro`"):
        registry.register()


def test_ui_names_a_taken_port(repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot be listened on.*--port"):
            registry.ui(port=port, host="127.0.0.1")


def test_ui_becomes_mlflows_server_on_this_store(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(registry.os, "execve", lambda _, *given: started.append(given))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    registry.ui(port=port, host="127.0.0.1")
    runs = f"#/experiments/{open_store().experiment_id}?workflowType=machine_learning"
    assert capsys.readouterr().out == f"http://127.0.0.1:{port}/{runs} (Ctrl-C ends it)\n"
    ((command, environment),) = started
    assert "--allowed-hosts" not in command
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert (
        environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{repository}/mlflow.db"
    )  # no argument: it may hold a password
    assert command[command.index("--port") + 1] == str(port)
    assert command[command.index("--uvicorn-opts") + 1] == "--log-level warning", "the address stays in sight"


def test_ui_listens_on_an_address_of_either_kind(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry.os, "execve", lambda *given: None)
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            port = server.getsockname()[1]
    except OSError:
        pytest.skip("no IPv6 here")
    registry.ui(port=port, host="::1")
    assert capsys.readouterr().out.startswith(f"http://[::1]:{port}/#")


@pytest.mark.parametrize(("given", "named"), [("", "team.example:"), ("lab.example:80", "lab.example:80")])
def test_ui_lets_other_machines_in_by_name(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    named: str,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(registry.os, "execve", lambda _, command, environment: started.append(command))
    monkeypatch.setattr(registry.socket, "getfqdn", lambda: "team.example")
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
    registry.ui(port=port, host="0.0.0.0", allowed_hosts=given)
    assert capsys.readouterr().out.startswith(f"http://team.example:{port}/#/experiments/")
    (command,) = started
    assert named in command[command.index("--allowed-hosts") + 1]


def test_mlflow_accepts_the_servers_options() -> None:
    from mlflow.cli import server

    variables = {option: parameter.envvar for parameter in server.params for option in parameter.opts}
    assert variables["--backend-store-uri"] == "MLFLOW_BACKEND_STORE_URI"
    assert {"--workers", "--host", "--port", "--allowed-hosts", "--uvicorn-opts"} <= variables.keys()


@pytest.mark.slow
def test_a_registered_model_draws_with_its_own_code(repository: Path, super_resolution_model: Path) -> None:
    shutil.copytree(super_resolution_model, repository / "models/packed")
    registry.register()
    script = (
        "import base64, io, json, mlflow, sys\nfrom PIL import Image\n"
        f"mlflow.set_tracking_uri('sqlite:///{repository}/mlflow.db')\n"
        "uri = 'models:/arbiscale@challenger'\nmodel = mlflow.pyfunc.load_model(uri)\n"
        "asked = json.loads(mlflow.artifacts.load_text(f'{uri}/serving_input_example.json'))\n"
        "(picture,) = model.predict(asked['inputs'], params=asked['params'])\n"
        "size = Image.open(io.BytesIO(base64.b64decode(picture))).size\n"
        "print(size, sys.modules['arbiscale'].__file__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(60, 40)")
    assert "mlartifacts" in done.stdout
    assert "code/arbiscale/__init__.py" in done.stdout
