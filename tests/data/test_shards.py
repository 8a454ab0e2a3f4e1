"""Crops in shards of limited size, and read from them in their order."""

from __future__ import annotations

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest

from arbiscale.data.manifest import Manifest
from arbiscale.data.pixel_shards import PixelWriter
from arbiscale.data.shards import StoredCrops
from arbiscale.errors import UserError


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Five crops for training, two a shard, the number of each in all its pixels."""
    writer = PixelWriter(tmp_path, "train", shard_bytes=128 + 2 * 4 * 4 * 3)
    for number in range(5):
        writer.add([np.full((4, 4, 3), number, np.uint8)])
    return Manifest(4, writer.finish(), [], [], [], {})


def test_crops_stand_in_the_order_of_their_shards(tmp_path: Path, manifest: Manifest) -> None:
    crops = StoredCrops(tmp_path, manifest, "train")
    assert [crop[0, 0, 0] for crop in crops] == [0, 1, 2, 3, 4]
    assert crops[-1].shape == (4, 4, 3)
    assert [crop[0, 0, 0] for crop in crops[1:4:2]] == [1, 3]
    assert [crop[0, 0, 0] for crop in pickle.loads(pickle.dumps(crops))] == [0, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        crops[5]


def test_more_shards_than_a_process_may_hold_open(tmp_path: Path) -> None:
    writer = PixelWriter(tmp_path, "train", shard_bytes=1)
    for number in range(300):
        writer.add([np.full((1, 1, 3), number % 256, np.uint8)])
    crops = StoredCrops(tmp_path, Manifest(1, writer.finish(), [], [], [], {}), "train")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/dev/fd").iterdir()]) + 140, limits[1]))
    try:
        shown = [crop[0, 0, 0] for crop in (*crops, *crops)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert shown == [number % 256 for number in range(300)] * 2


def test_a_split_may_be_empty(tmp_path: Path, manifest: Manifest) -> None:
    assert len(StoredCrops(tmp_path, manifest, "validation")) == 0
    assert not [*StoredCrops(tmp_path, manifest, "validation")]


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_damaged_shard_is_named(tmp_path: Path, manifest: Manifest, content: bytes) -> None:
    (tmp_path / "train/00001.npy").write_bytes(content)
    crops = StoredCrops(tmp_path, manifest, "train")
    assert crops[0][0, 0, 0] == 0
    with pytest.raises(UserError, match=r"train/00001\.npy: cannot be read .*; run `dvc repro -f -s crop`"):
        crops[2]
