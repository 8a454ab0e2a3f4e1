"""Settings, sources and records for the data tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arbiscale.config.data import CropSettings, FolderSettings, SplitSettings
from arbiscale.data.crops import make_crops
from arbiscale.data.index import Index, open_index
from arbiscale.data.manifest import Manifest
from arbiscale.data.scan import scan
from arbiscale.data.sources.folder import Folder


@pytest.fixture(scope="session")
def crop_settings() -> CropSettings:
    return CropSettings(mode="random", size_px=32, per_photograph=6)


@pytest.fixture(scope="session")
def split_settings() -> SplitSettings:
    return SplitSettings(
        test=["a"],
        validation=["b"],
        test_fraction=0.0,
        validation_fraction=0.0,
        scene_pattern="^(.*)$",
        near_duplicate_bits=0,
        benchmarks=[],
    )


@pytest.fixture
def own(photographs: Path, tmp_path: Path) -> Path:
    """A user's folder of the five sample photographs."""
    return Path(shutil.copytree(photographs, tmp_path / "own"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with open_index(tmp_path / "index.db") as index:
        yield index


@pytest.fixture
def cut(
    own: Path, tmp_path: Path, index: Index, crop_settings: CropSettings, split_settings: SplitSettings
) -> Callable[..., Manifest]:
    """Scans the user's folder and cuts it into `tmp_path / name`; keywords replace arguments."""

    def make(name: str = "crops", **changes: Any) -> Manifest:
        source = Folder(FolderSettings(path=str(own)))
        record, _ = scan(source, tmp_path / "raw", index, "code")
        arguments = {"crop": crop_settings, "split": split_settings, "seed": 0} | changes
        return make_crops(source, record, tmp_path / name, **arguments)[0]

    return make
