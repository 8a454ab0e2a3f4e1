"""Photographs in archives, and crops cut from them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.data.examination import decode
from arbiscale.data.manifest import Manifest, Shard
from arbiscale.data.photograph_shards import Kept, PhotographShard, PhotographWriter
from arbiscale.data.shards import StoredCrops
from arbiscale.errors import UserError
from tests.conftest import photograph

FORMATS = ("JPEG", "PNG", "WEBP")


def encoded(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photograph(40, 48, number)).save(stream, FORMATS[number % 3])
    return stream.getvalue()


def kept(number: int) -> Kept:
    return Kept(encoded(number), [(number, 0, number + 16, 16), (20, number, 36, number + 16)])


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard]:
    """Six photographs of two crops each, in two shards."""
    half = sum(len(encoded(number)) + 1024 for number in range(3))
    writer = PhotographWriter(tmp_path, "train", shard_bytes=half)
    places = [place for number in range(6) for place in writer.add(kept(number))]
    made = writer.finish()
    assert places == [(shard.file, number) for shard in made for number in range(shard.count)]
    return made


def test_the_layout_is_webdatasets(tmp_path: Path, shards: list[Shard]):
    names = []
    for shard in shards:
        path = tmp_path / shard.file
        assert shard.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert shard.index_sha256 == hashlib.sha256(path.with_suffix(".npy").read_bytes()).hexdigest()
        with tarfile.open(path) as archive:
            for member in archive:
                assert archive.extractfile(member).read() == encoded(len(names))
                assert member.mtime == member.uid == 0  # the same bytes on every machine
                names.append(member.name)
    assert len(shards) == 2
    assert names == [f"{number:09d}.{('jpg', 'png', 'webp')[number % 3]}" for number in range(6)]


def test_any_crop_is_read_by_itself(tmp_path: Path, shards: list[Shard]):
    crops = StoredCrops(tmp_path, Manifest(16, shards, [], [], [], {}), "train")
    assert len(crops) == 12
    for index in np.random.default_rng(0).permutation(12):
        left, top, right, bottom = kept(index // 2).boxes[index % 2]
        assert np.array_equal(crops[index], decode(encoded(index // 2))[0][top:bottom, left:right])


def test_a_photograph_is_given_back_with_its_boxes(tmp_path: Path, shards: list[Shard]):
    assert PhotographShard(tmp_path / shards[0].file).kept([0, 1]) == kept(0)


def test_nothing_gives_no_shard(tmp_path: Path):
    assert PhotographWriter(tmp_path, "train").finish() == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "it is cut off"),
        (lambda path: path.with_suffix(".npy").unlink(), "No such file"),
        (lambda path: np.save(path.with_suffix(".npy"), np.zeros(3)), "its index is another's"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "is not a picture"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, shards: list[Shard], damage, said: str):
    damage(tmp_path / shards[0].file)
    crops = StoredCrops(tmp_path, Manifest(16, shards, [], [], [], {}), "train")
    assert crops[11].shape == (16, 16, 3)
    with pytest.raises(
        UserError, match=rf"00000\.tar: cannot be read \(.*{said}.*\); run `dvc repro"
    ) as caught:
        crops[0]
    assert "\n" not in str(caught.value)
