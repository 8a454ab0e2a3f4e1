"""Pixels in shards of limited size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arbiscale.data.manifest import SHARD_BYTES
from arbiscale.data.pixel_shards import PixelWriter


def test_shards_fill_up_to_their_limit(tmp_path: Path):
    crops = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    writer = PixelWriter(tmp_path, "train", shard_bytes=128 + 3 * crops[0].nbytes)
    places = [writer.add([crop])[0] for crop in crops]
    shards = writer.finish()
    assert [(shard.file, shard.count) for shard in shards] == [
        ("train/00000.npy", 3),
        ("train/00001.npy", 3),
        ("train/00002.npy", 1),
    ]
    for (file, index), crop in zip(places, crops, strict=True):
        assert np.array_equal(np.load(tmp_path / file, mmap_mode="r")[index], crop)
    assert max((tmp_path / shard.file).stat().st_size for shard in shards) == 128 + 3 * crops[0].nbytes
    assert SHARD_BYTES == 256 * 2**20


def test_a_crop_larger_than_a_shard_stands_alone(tmp_path: Path):
    writer = PixelWriter(tmp_path, "validation", shard_bytes=10)
    for _ in range(2):
        writer.add([np.zeros((4, 4, 3), np.uint8)])
    assert [shard.count for shard in writer.finish()] == [1, 1]


def test_nothing_gives_no_shard(tmp_path: Path):
    assert PixelWriter(tmp_path, "train").finish() == []
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_the_file_that_numpy_writes(tmp_path: Path):
    crops = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    writer = PixelWriter(tmp_path, "train")
    writer.add(crops[:2])
    writer.add([np.asfortranarray(crops[2])])  # whatever its layout in memory
    (shard,) = writer.finish()
    np.save(tmp_path / "whole.npy", crops)
    assert (tmp_path / shard.file).read_bytes() == (tmp_path / "whole.npy").read_bytes()
