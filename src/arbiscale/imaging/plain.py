"""Photographs that need nothing but decoding: 8 bits, no transparency, upright, in sRGB.

Those are nearly all that trainings read, a thousand times each. OpenCV decodes them by the same libraries as
libvips (libjpeg-turbo, libpng, libwebp) to the same pixels, without what a pipeline of operations costs.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import ExifTags
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from arbiscale.imaging.formats import recognise
from arbiscale.imaging.formats.profiles import is_srgb

_PNG_CHUNKS = {b"IHDR", b"IDAT", b"IEND", b"pHYs", b"eXIf"}  # others may be about colours
_PNG_RGB_8 = b"\x08\x02"  # bit depth and colour type


def read_plain(data: bytes) -> NDArray[np.uint8] | None:
    """The pixels (height, width, 3) of a picture file as `arbiscale.imaging.reading.read_image` gives them.

    None for any other file than a plain one, and where OpenCV cannot decode it: nothing is said of why.
    """
    name = recognise(data[:32])
    if name not in _IS_PLAIN or not _IS_PLAIN[name](data):
        return None
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if found is None else np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def _is_plain_jpeg(data: bytes) -> bool:
    try:
        with JpegImageFile(io.BytesIO(data)) as header:  # unlike Image.open without a limit of its own
            mode, profile = header.mode, header.info.get("icc_profile")
            if profile is None:  # Pillow also says so of one that it cannot put together
                in_srgb = mode in {"RGB", "L"} and b"ICC_PROFILE\0" not in data
            else:
                in_srgb = mode == "RGB" and profile[16:20] == b"RGB " and is_srgb(profile)
            return in_srgb and _is_upright(header)
    except (pyvips.Error, OSError, SyntaxError, ValueError):  # a broken profile or header
        return False


def _is_plain_png(data: bytes) -> bool:
    if data[24:26] != _PNG_RGB_8:
        return False
    place, kinds = 8, set[bytes]()
    while place + 8 <= len(data):
        kinds.add(data[place + 4 : place + 8])
        place += 12 + int.from_bytes(data[place : place + 4])
    if not kinds <= _PNG_CHUNKS:
        return False
    if b"eXIf" not in kinds:
        return True
    try:
        with PngImageFile(io.BytesIO(data)) as header:
            return "exif" in header.info and _is_upright(header)  # else it stands behind the pixels
    except (OSError, SyntaxError, ValueError):
        return False


def _is_upright(header: Any) -> bool:
    return bool("exif" not in header.info or header.getexif().get(ExifTags.Base.Orientation, 1) == 1)


def _is_plain_webp(data: bytes) -> bool:
    return data[12:16] == b"VP8 "  # its simple, lossy layout: no alpha, no profile, no EXIF


_IS_PLAIN = {"JPEG": _is_plain_jpeg, "PNG": _is_plain_png, "WebP": _is_plain_webp}
