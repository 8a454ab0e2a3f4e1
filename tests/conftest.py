"""Fixtures that every part of the tests may use."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published reference data; skips where there is none, unless it is demanded."""
    folder = Path(os.environ.get("ARBISCALE_SHARED", Path(__file__).parents[2] / "shared"))
    if folder.is_dir():
        return folder.resolve()
    if os.environ.get("ARBISCALE_REQUIRE_SHARED") == "1":
        pytest.fail(f"{folder}: ARBISCALE_REQUIRE_SHARED=1, but there is no such folder")
    pytest.skip(f"{folder}: no reference data here (ARBISCALE_SHARED names its folder)")


def photograph(height_px: int, width_px: int, seed: int) -> NDArray[np.uint8]:
    """A picture with smooth parts and edges, different for every seed: uint8 (height, width, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4))
    pixels = np.asarray(smooth).copy()
    pixels[height_px // 3 : height_px // 2, width_px // 4 : width_px // 2] = (seed * 40 % 256, 200, 30)
    return pixels


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five small photographs a.png to e.png, 64 to 96 px wide and 64 px high."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed, name in enumerate("abcde"):
        Image.fromarray(photograph(64, 64 + 8 * seed, seed)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database as just created: a copy takes milliseconds, creating one seconds."""
    from arbiscale import tracking

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking._create_database(file, file.with_name("mlartifacts"))
    return file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Path:
    """An empty repository with an MLflow store of its own: the working directory, outside of DVC."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
