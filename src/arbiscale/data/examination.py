"""What is learned of a photograph by reading it once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from arbiscale.errors import UserError
from arbiscale.imaging.plain import read_plain
from arbiscale.imaging.reading import as_srgb, read_picture


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one file; sizes in pixels, upright."""

    sha256: str  # of the file
    width: int
    height: int
    pixels_sha256: str  # equal for the same pixels in another file
    perceptual_hash: str  # 64 bits in hexadecimal; near for pictures that look alike
    mean_colour: str | None = None  # sRGB, such as #808080; None = noted before this was measured
    sharpness: float | None = None  # standard deviation of the Laplacian of luma, 0 to 255
    jpeg_quality: int | None = None  # 1 to 100; None = no JPEG


def examine(data: bytes) -> tuple[Facts, tuple[str, ...]]:
    """The facts of a picture file, and what is odd about it.

    Raises:
        UserError: it cannot be read; without the file's name.
    """
    pixels, problems = decode(data)
    height, width, _ = pixels.shape
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    alike = str(imagehash.phash(Image.fromarray(pixels)))
    mean = bytes(pixels.mean((0, 1)).round().astype(np.uint8)).hex()
    sharpness = cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()
    facts = Facts(
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        pixels_sha256=digest,
        perceptual_hash=alike,
        mean_colour=f"#{mean}",
        sharpness=round(float(sharpness), 2),
        jpeg_quality=jpeg_quality(data),
    )
    return facts, problems


def jpeg_quality(data: bytes) -> int | None:
    """The quality that libjpeg would call a JPEG's table for luma, 1 to 100; None for other files."""
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        tables = _tables(data)
    except (OSError, SyntaxError, ValueError):  # libvips is more tolerant
        return None
    if not tables:
        return None
    percent = 100 * float(np.mean(np.array(tables[min(tables)]) / _TABLE_50))  # the first is luma's
    return round(min(max(5000 / percent if percent > 100 else (200 - percent) / 2, 1), 100))


def _tables(data: bytes) -> dict[int, list[int]]:
    """A JPEG's quantization tables."""
    return JpegImageFile(io.BytesIO(data)).quantization


def _table_50() -> NDArray[np.float64]:
    """The table of quality 50, of which those of other qualities are multiples (ITU-T T.81, annex K)."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", quality=50)
    return np.array(_tables(file.getvalue())[0], float)


_TABLE_50 = _table_50()


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """The pixels that `decode` gives, faster for most photographs.

    Raises:
        UserError: as `examine`.
    """
    plain = read_plain(data)
    return decode(data)[0] if plain is None else plain


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
