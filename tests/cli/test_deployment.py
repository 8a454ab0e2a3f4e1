"""A registered model where nothing of this repository is: MLflow's own server, and an empty environment."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.inference.serving import requirements
from tests.cli.running import run

pytestmark = pytest.mark.slow
PARAMS = Path(__file__).parents[2] / "params.yaml"
URI = "models:/arbiscale@challenger"


@pytest.fixture
def foreign(project: Path, super_resolution_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty working directory, beside a repository whose model is registered."""
    shutil.copy(PARAMS, project)
    shutil.copytree(super_resolution_model, project / "models/packed")
    assert run("register") == 0
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture
def environment(project: Path, foreign: Path) -> dict[str, str]:
    alien = ("MLFLOW_", "DVC_", "ARBISCALE_", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(alien)}
    return kept | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # MLflow starts uvicorn
    }


@pytest.fixture
def server(foreign: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of `mlflow models serve`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "--env-manager", "local"]
    command += ["--port", str(port), "--host", "127.0.0.1", "--workers", "1"]
    with (foreign / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=foreign, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (foreign / "log").read_text()
                time.sleep(0.25)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def asked(address: str, body: object) -> tuple[int, object]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_mlflow_serves_it_from_a_foreign_directory(server: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), "red").save(stream, "PNG")
    picture = base64.b64encode(stream.getvalue()).decode()
    params = {"scale": 2.5, "steps": 2}
    for given in (
        {"inputs": [picture]},
        {"dataframe_split": {"columns": ["image"], "data": [[picture]]}},
    ):
        status, answer = asked(server, {**given, "params": params})
        assert status == 200, answer
        (drawn,) = answer["predictions"]
        assert Image.open(io.BytesIO(base64.b64decode(drawn))).size == (30, 22)
    status, answer = asked(server, {"inputs": [picture], "params": {"height": 100_000, "width": 100_000}})
    assert status >= 400
    assert "at most 67,108,864 pixels are served" in str(answer)
    assert asked(server, {"inputs": [picture], "params": params})[0] == 200


@pytest.mark.skipif(
    os.environ.get("ARBISCALE_TEST_INSTALLATION") != "1",
    reason="downloads torch: ARBISCALE_TEST_INSTALLATION=1 asks for it",
)
def test_the_requirements_suffice_in_an_empty_environment(foreign: Path, environment: dict[str, str]) -> None:
    venv.create(foreign / "venv", with_pip=True)
    python = foreign / "venv/bin/python"
    (foreign / "requirements.txt").write_text("\n".join(requirements()))
    install = [python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"]
    subprocess.run(install, cwd=foreign, env=environment, check=True)
    script = (
        "import json, mlflow\n"
        f"model = mlflow.pyfunc.load_model({URI!r})\n"
        f"asked = json.loads(mlflow.artifacts.load_text({URI + '/serving_input_example.json'!r}))\n"
        "print(len(model.predict(asked['inputs'], params=asked['params'])))\n"
    )
    done = subprocess.run(
        [python, "-c", script], cwd=foreign, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout == "1\n"
