"""Perceptual hashes that are near."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from arbiscale.data.examination import examine
from arbiscale.data.near_duplicates import LARGEST_DISTANCE, join_near, near, parse_hashes
from arbiscale.data.sources.bundled import Bundled

MIRRORED = np.uint64(0x5555555555555555)  # what mirroring changes of a hash: its odd columns


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def flipped(hash_: np.uint64, bits: list[int]) -> np.uint64:
    return hash_ ^ np.uint64(sum(1 << bit for bit in bits))


@pytest.mark.parametrize("distance", [0, 3, LARGEST_DISTANCE])
def test_every_near_pair_is_found_once_wherever_the_bits_lie(distance: int) -> None:
    generator = np.random.default_rng(1)
    others = hashes(300)
    flips = [generator.choice(64, number % 10, replace=False).tolist() for number in range(300)]
    queries = np.array([flipped(each, bits) for each, bits in zip(others, flips, strict=True)])
    alike, mirrored = (
        np.bitwise_count(queries[:, None] ^ each[None]) for each in (others, others ^ MIRRORED)
    )
    differing = np.minimum(alike, mirrored)
    expected = np.argwhere(differing <= distance)
    one, other, bits = near(queries, others, distance)
    assert np.array_equal(np.stack([one, other], 1), expected)
    assert np.array_equal(bits, differing[one, other])
    assert len(expected) >= 300 * (distance + 1) // 10


def test_nothing_is_near_nothing() -> None:
    assert [len(part) for part in near(hashes(0), hashes(3), 6)] == [0, 0, 0]
    assert join_near(hashes(0), 6) == []


def test_pairs_join_what_is_near_and_are_few() -> None:
    (base, far) = hashes(2)
    chain = [base, flipped(base, [0, 20]), flipped(base, [0, 20, 40, 60]), far, base, base]
    assert join_near(np.array(chain), 2) == [(0, 1, 2), (0, 4, 0), (0, 5, 0), (1, 2, 2)]
    assert join_near(np.array(chain), 1) == [(0, 4, 0), (0, 5, 0)]
    assert len(join_near(np.repeat(base, 500), 6)) == 499


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "china.jpg", "rocket.jpg"])
def test_a_mirrored_photograph_is_near_and_another_is_not(name: str) -> None:
    """A training flips its crops: a mirrored copy of a held-out photograph would be that photograph."""
    photograph, other = (Bundled().read(each) for each in (name, "flower.jpg"))
    mirrored = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(photograph)).convert("RGB")).save(mirrored, "JPEG", quality=80)
    files = [photograph, mirrored.getvalue(), other]
    own, mirror, far = parse_hashes(examine(each)[0].perceptual_hash for each in files)
    assert np.bitwise_count(own ^ mirror) > LARGEST_DISTANCE
    ((first, second, bits),) = join_near(np.array([far, own, mirror]), LARGEST_DISTANCE)
    assert {first, second} == {1, 2}
    assert bits <= LARGEST_DISTANCE


def test_hashes_of_mirrors_join_though_no_bit_differs() -> None:
    (base,) = hashes(1)
    assert join_near(np.array([base, base ^ MIRRORED]), 0) == [(0, 1, 0)]


def test_hashes_are_hexadecimal() -> None:
    assert parse_hashes(["ffffffffffffffff", "0000000000000001"]).tolist() == [2**64 - 1, 1]
