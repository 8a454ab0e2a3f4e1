"""Untrained models small enough to draw at once, what they are asked for, and a project without runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from arbiscale.models.folder import ModelConfig
    from arbiscale.models.latent_diffusion import LatentDiffusion


ROOT = Path(__file__).parents[2]
SaveModel = Callable[..., Path]


@pytest.fixture(scope="session")
def save_model(
    tmp_path_factory: pytest.TempPathFactory,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
) -> SaveModel:
    """Writes complete model folders of a task, with random weights; keywords go to the autoencoder."""
    from arbiscale.models.folder import save_latent_diffusion

    def save(task: str, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("models") / task
        config = model_config(task, **changes)
        save_latent_diffusion(folder, config, make_model(config))
        return folder

    return save


@pytest.fixture(scope="session")
def super_resolution_model(save_model: SaveModel) -> Path:
    """A model folder that upscales."""
    return save_model("super_resolution")


@pytest.fixture(scope="session")
def generation_model(save_model: SaveModel) -> Path:
    """A model folder that generates."""
    return save_model("generation")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 12 x 20 pixels (height x width)."""
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def options(super_resolution_model: Path) -> list[str | Path]:
    """What a drawing takes besides its files and size: a tiny model, 2 steps, on the CPU."""
    return ["--model", super_resolution_model, "--steps", "2", "--device", "cpu"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's parameters, as the working directory."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("error: ").rstrip("\n")
