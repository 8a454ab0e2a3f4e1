"""Settings and folders of crops for the data tests."""

from pathlib import Path

import pytest

from arbiscale.config.data import CropSettings, FolderSettings, SplitSettings
from arbiscale.data.manifest import PHOTOGRAPHS, write_record
from arbiscale.data.sources import folder


@pytest.fixture(scope="session")
def crop_settings() -> CropSettings:
    return CropSettings(mode="random", size_px=32, per_photograph=6)


@pytest.fixture(scope="session")
def split_settings() -> SplitSettings:
    return SplitSettings(
        test=["a"], validation=["b"], test_fraction=0.0, validation_fraction=0.0, scene_pattern="^(.*)$"
    )


@pytest.fixture
def raw(photographs: Path, tmp_path: Path) -> Path:
    """The sample photographs as stage `download` leaves them."""
    (tmp_path / "raw" / PHOTOGRAPHS).mkdir(parents=True)
    fetched = folder.fetch(FolderSettings(path=str(photographs)), tmp_path / "raw" / PHOTOGRAPHS)
    write_record(tmp_path / "raw", fetched)
    return tmp_path / "raw"
