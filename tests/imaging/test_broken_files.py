"""Mutated files give a picture of the right size or one line; never a traceback, never a hang."""

import io

import numpy as np
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.reading import as_srgb, read_picture

SIZE = (24, 40)
MUTATIONS = 100  # of each format


def good_file(form: str) -> bytes:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x013B] = "Painter"
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    Image.fromarray(pixels).save(stored, form, exif=exif, **options)
    return stored.getvalue()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, with flipped bits, or with two pieces swapped."""
    way = rng.integers(3)
    if way == 0:
        return data[: rng.integers(len(data))]
    changed = bytearray(data)
    if way == 1:
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[place] ^= 1 << rng.integers(8)
        return bytes(changed)
    first, second = sorted(rng.integers(0, len(data), 2))
    length = min(int(rng.integers(1, 40)), second - first)
    changed[first : first + length], changed[second : second + length] = (
        data[second : second + length],
        data[first : first + length],
    )
    return bytes(changed)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
def test_mutations(form: str) -> None:
    data = good_file(form)
    read = 0
    other_sizes, refusals = [], []
    for seed in range(MUTATIONS):
        try:
            picture = read_picture(io.BytesIO(mutated(data, np.random.default_rng(seed))))
        except UserError as error:
            refusals.append(str(error))
            continue
        read += 1
        assert as_srgb(picture).shape == (*picture.size, 3)
        if picture.size != SIZE:
            other_sizes.append((seed, picture.size))
    assert not other_sizes
    assert all(line.startswith("image: ") and "\n" not in line for line in refusals)
    assert 0 < read < MUTATIONS
