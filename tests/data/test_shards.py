"""Crops in shards of limited size."""

from pathlib import Path

import numpy as np

from arbiscale.data.shards import SHARD_BYTES, ShardWriter


def test_shards_fill_up_to_their_limit(tmp_path: Path):
    crops = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    writer = ShardWriter(tmp_path, "train", shard_bytes=128 + 3 * crops[0].nbytes)
    places = [writer.add(crop) for crop in crops]
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
    writer = ShardWriter(tmp_path, "validation", shard_bytes=10)
    for _ in range(2):
        writer.add(np.zeros((4, 4, 3), np.uint8))
    assert [shard.count for shard in writer.finish()] == [1, 1]


def test_nothing_gives_no_shard(tmp_path: Path):
    assert ShardWriter(tmp_path, "train").finish() == []
    assert list(tmp_path.iterdir()) == []
