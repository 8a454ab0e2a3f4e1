"""WebP: its library codes a picture only as a whole, which its 16,383 px a side keep bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from arbiscale.imaging.formats.layout import Layout
from arbiscale.imaging.picture import Pixels

_QUALITY = 95


def write(stream: BinaryIO, layout: Layout, bands: Iterator[Pixels]) -> None:
    """Collect a picture's bands and write it."""
    pixels = np.empty((*layout.size, layout.channels), np.uint8)
    top = 0
    for band in bands:
        pixels[top : top + len(band)] = band
        top += len(band)
    extra = {"icc_profile": layout.metadata.icc_profile} if layout.metadata.icc_profile else {}
    if layout.metadata.exif:
        extra["exif"] = b"Exif\0\0" + layout.metadata.exif
    Image.fromarray(pixels).save(stream, "WEBP", quality=_QUALITY, **extra)
