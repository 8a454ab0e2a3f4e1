"""What is learned of a photograph by reading it once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.reading import as_srgb, read_picture


@dataclass(frozen=True)
class Facts:
    """Of one file; sizes in pixels, upright."""

    sha256: str  # of the file
    width: int
    height: int
    pixels_sha256: str  # equal for the same pixels in another file
    perceptual_hash: str  # 64 bits in hexadecimal; near for pictures that look alike


def examine(data: bytes) -> tuple[Facts, tuple[str, ...]]:
    """The facts of a picture file, and what is odd about it.

    Raises:
        UserError: it cannot be read; without the file's name.
    """
    pixels, problems = decode(data)
    height, width, _ = pixels.shape
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    alike = str(imagehash.phash(Image.fromarray(pixels)))
    return Facts(hashlib.sha256(data).hexdigest(), width, height, digest, alike), problems


def decode(data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pixels (height, width, 3) of a picture file in 8-bit sRGB, and what is odd about it.

    Raises:
        UserError: as `examine`.
    """
    try:
        picture = read_picture(io.BytesIO(data))
    except UserError as error:
        raise UserError(str(error).removeprefix("image: ")) from None
    return as_srgb(picture), picture.problems
