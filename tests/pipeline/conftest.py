"""Projects that the tests of this folder share: one that runs the whole pipeline, and one of a toy stage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from arbiscale.tracking.store import open_store

from .toy_stage import DVC, SCRIPT

REPOSITORY = Path(__file__).parents[2]
FILES = ("params.yaml", "dvc.yaml", ".dvcignore", ".gitignore", ".dvc", "src", "stages")
KEPT = "models/baselines/.gitignore"  # a dependency, also where no baseline is trained
TRAININGS = ["autoencoder", "diffusion", "align_timesteps", "align_samples"]
STAGES = ["download", "crop", *TRAININGS, "evaluate", "register"]
ALIGNMENT = ["align_timesteps", "align_samples"]
STEPS = 20  # of each training, below
PRODUCTS = shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local")
INTERRUPTIBLE = """# Long enough to be killed in mid-run.
autoencoder: {training: {steps: 20}}
diffusion: {training: {steps: 20}}
align: {timesteps: {steps: 20}, samples: {training: {steps: 20}}}
runtime: {validate_every_steps: 10, checkpoint_every_steps: 4}
"""


@dataclass(frozen=True)
class Project:
    """A copy of this repository, with its own Git, DVC and MLflow."""

    folder: Path
    environment: dict[str, str]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Run a command in a process group of its own."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, start_new_session=True, **output
        )

    def run(self, *command: str) -> str:
        """The output of a command that succeeds."""
        process = self.start(*command)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output

    def restore(self) -> None:
        """Go back to what was committed, whatever a test or a script has written outside DVC."""
        self.run("git", "reset", "-q", "--hard")
        self.run("dvc", "checkout", "-q", "--force")

    def client(self) -> MlflowClient:
        """Its MLflow store."""
        return open_store(f"sqlite:///{self.folder}/mlflow.db").client

    def executed(self, output: str) -> list[str]:
        """The stages that a `dvc` command says it ran, without `list`, which always runs."""
        ran = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
        return [stage for stage in ran if stage != "list"]

    def run_ids(self) -> dict[str, str]:
        """The run behind every stage's outputs."""
        records = (json.loads(path.read_text()) for path in (self.folder / "runs").glob("*.json"))
        return {record["stage"]: record["run_id"] for record in records}

    def weights(self) -> dict[str, bytes]:
        """The contents of every safetensors file, by its path."""
        files = (self.folder / "models").rglob("*.safetensors")
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="session")
def metric_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of AlexNet's features with random weights: LPIPS runs on any machine, and means nothing."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    shapes = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
    state = {}
    for layer, out_channels, in_channels, side in shapes:
        kernels = torch.randn((out_channels, in_channels, side, side), generator=generator)
        state |= {
            f"features.{layer}.weight": 0.05 * kernels,
            f"features.{layer}.bias": torch.zeros(out_channels),
        }
    torch.save(state, folder / "alexnet_features.pt")
    return folder


@pytest.fixture(scope="session")
def make_project(metric_network: Path) -> Callable[..., Project]:
    """Makes projects in a folder, of which further presets are applied; nothing has run in them."""

    def make(folder: Path, *presets: str) -> Project:
        made = Project(folder, environment_of(folder, metric_network))
        for name in FILES:
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, folder / name, ignore=PRODUCTS)
            else:
                shutil.copy(REPOSITORY / name, folder / name)
        (folder / KEPT).parent.mkdir(parents=True)
        shutil.copy(REPOSITORY / KEPT, folder / KEPT)
        (folder / "presets").mkdir()
        (folder / "presets/interruptible.yaml").write_text(INTERRUPTIBLE)
        for preset in ("smoke", *presets):
            made.run("arbiscale", "preset", "apply", preset)
        made.run("git", "init", "-q")
        made.run("git", "config", "user.name", "test")
        made.run("git", "config", "user.email", "test@localhost")
        made.run("git", "add", "-A")
        made.run("git", "commit", "-qm", "project")
        return made

    return make


def environment_of(folder: Path, weights: Path) -> dict[str, str]:
    """The variables for commands in a project: its own code, and nothing of the tester's settings."""
    alien = ("MLFLOW_", "DVC_", "GIT_", "AWS_", "ARBISCALE_", "PYTHONPATH")
    own = {key: value for key, value in os.environ.items() if not key.startswith(alien)}
    return own | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONPATH": str(folder / "src"),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",  # what a killed process has said is not lost
        "CUDA_VISIBLE_DEVICES": "",  # bits are promised for the CPU
        "ARBISCALE_WEIGHTS_DIR": str(weights),
    }


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory, make_project: Callable[..., Project]) -> Project:
    """The project before its first run."""
    return make_project(tmp_path_factory.mktemp("project"), "interruptible")


@pytest.fixture(scope="session")
def first_run(smoke: Project) -> str:
    """The output of `dvc repro` from scratch, committed."""
    output = smoke.run("dvc", "repro")
    smoke.run("git", "add", "-A")
    smoke.run("git", "commit", "-qm", "first run")
    return output


@pytest.fixture(scope="session")
def first_ids(smoke: Project, first_run: str) -> dict[str, str]:
    """The runs of the first `dvc repro`."""
    smoke.restore()  # whichever file asks first
    return smoke.run_ids()


@pytest.fixture
def first_state(smoke: Project, first_ids: dict[str, str]) -> None:
    """A test starts from what the first run left."""
    smoke.restore()
    assert smoke.run_ids() == first_ids


@pytest.fixture(scope="session")
def generation(smoke: Project, first_run: str) -> str:
    """The output of an experiment in a workspace of its own: trained to generate, on crops of two shapes."""
    changes = [
        "diffusion.task=generation",
        "diffusion.process.kind=diffusion",
        "autoencoder.latent_dropout=0",
    ]
    changes += ["autoencoder.network.residual=false", "autoencoder.network.branch.blocks=0"]
    changes += ["data.crop.shapes=[64x64,48x80]", "data.augmentation.transpose=0"]
    changes += ["autoencoder.target_px=[16,24]"]
    options = [part for change in changes for part in ("-S", change)]
    smoke.restore()  # before that of every test: an experiment takes along what is changed
    return smoke.run("dvc", "exp", "run", "--temp", "--name", "generation", *options)


@pytest.fixture(scope="session")
def baselines(smoke: Project, first_run: str) -> str:
    """The output of an experiment in a workspace of its own: LIIF and LINF beside what is there."""
    smoke.restore()
    return smoke.run(
        "dvc", "exp", "run", "--temp", "--name", "baselines", "-S", "baselines.train=[liif,linf]"
    )


@pytest.fixture
def workspace(project: Path) -> Path:
    """A project of one stage, `toy`, as the working directory."""
    shutil.copy(REPOSITORY / "params.yaml", project / "params.yaml")
    (project / "dvc.yaml").write_text(DVC)
    (project / "data").mkdir()
    (project / "data/a.txt").write_text("1")
    (project / "stages").mkdir()
    (project / "stages/toy.py").write_text(SCRIPT)
    return project
