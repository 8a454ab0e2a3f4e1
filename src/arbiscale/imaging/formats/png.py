"""PNG, row by row (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from arbiscale.imaging.formats.layout import Layout, regroup
from arbiscale.imaging.picture import Pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}  # channels -> truecolour, with alpha
_LEVEL = 6  # of deflate
_BAND_BYTES = 1 << 21  # filtered at once


def write(stream: BinaryIO, layout: Layout, bands: Iterator[Pixels]) -> None:
    """Write a picture as its bands arrive."""
    height, width = layout.size
    colour_type = _COLOUR_TYPES[layout.channels]
    pixel_bytes = layout.channels * layout.bits // 8
    stream.write(_SIGNATURE)
    _chunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, layout.bits, colour_type, 0, 0, 0))
    if layout.metadata.icc_profile:
        _chunk(stream, b"iCCP", b"profile\0\0" + zlib.compress(layout.metadata.icc_profile))
    if layout.metadata.exif:
        _chunk(stream, b"eXIf", layout.metadata.exif)
    compressor = zlib.compressobj(_LEVEL)
    above = np.zeros(width * pixel_bytes, np.uint8)
    for band in regroup(bands, max(1, _BAND_BYTES // len(above))):
        ordered = band.astype(">u2") if layout.bits == 16 else band  # big-endian
        rows = np.ascontiguousarray(ordered).view(np.uint8).reshape(len(band), -1)
        packed = compressor.compress(_filtered(rows, above, pixel_bytes).tobytes())
        above = rows[-1]
        if packed:
            _chunk(stream, b"IDAT", packed)
    _chunk(stream, b"IDAT", compressor.flush())
    _chunk(stream, b"IEND", b"")


def _chunk(stream: BinaryIO, kind: bytes, body: bytes) -> None:
    stream.write(struct.pack(">I", len(body)) + kind)
    stream.write(body)
    stream.write(struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], pixel_bytes: int) -> NDArray[np.uint8]:
    """Rows (count, bytes) as (count, 1 + bytes), each by the filter that leaves the least to say.

    The standard's heuristic: the smallest sum of differences, taken as signed (section 12.8).
    """
    up = np.concatenate([above[None], rows[:-1]])
    left, up_left = np.zeros_like(rows), np.zeros_like(rows)
    left[:, pixel_bytes:] = rows[:, :-pixel_bytes]
    up_left[:, pixel_bytes:] = up[:, :-pixel_bytes]
    best = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    cost = np.full(len(rows), np.iinfo(np.int64).max)
    for number, predicted in ((1, left), (2, up), (4, _paeth(left, up, up_left))):
        difference = rows - predicted  # modulo 256
        cheaper = (here := np.abs(difference.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64)) < cost
        best[cheaper, 0] = number
        best[cheaper, 1:] = difference[cheaper]
        cost = np.where(cheaper, here, cost)
    return best


def _paeth(left: NDArray[np.uint8], up: NDArray[np.uint8], up_left: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whichever neighbour is nearest to left + up - up_left (section 9.4)."""
    to_left = np.abs(up.astype(np.int16) - up_left)
    to_up = np.abs(left.astype(np.int16) - up_left)
    to_up_left = np.abs(left.astype(np.int16) + up - 2 * up_left.astype(np.int16))
    is_left = (to_left <= to_up) & (to_left <= to_up_left)
    return np.where(is_left, left, np.where(to_up <= to_up_left, up, up_left))
