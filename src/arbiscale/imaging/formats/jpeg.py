"""Baseline JPEG, band by band: each band is coded alone, and a restart marker joins it to the last.

After a restart marker a decoder starts again (ITU-T T.81, section E.2.4), as it does at the start of a
picture. So bands that Pillow codes with one set of tables, their headers taken off, make up one scan.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from arbiscale.imaging.formats.layout import Layout, regroup
from arbiscale.imaging.picture import Pixels

_QUALITY = 95
_BLOCK_PX = 8  # side of a coded unit without chroma subsampling
_LARGEST_INTERVAL = 65_535  # units between restart markers
_ROWS = 64  # of a band, where the interval allows
_START_OF_FRAME, _START_OF_SCAN, _RESTART_INTERVAL = 0xC0, 0xDA, 0xDD


def write(stream: BinaryIO, layout: Layout, bands: Iterator[Pixels]) -> None:
    """Write a picture as its bands arrive."""
    height, width = layout.size
    units_a_row = -(-width // _BLOCK_PX)
    unit_rows = max(1, min(_ROWS // _BLOCK_PX, _LARGEST_INTERVAL // units_a_row))
    rows = unit_rows * _BLOCK_PX
    for index, band in enumerate(regroup(bands, rows)):
        header, scan = _split(_encode(band, layout if index == 0 else None))
        if index == 0:
            interval = struct.pack(">BBHH", 0xFF, _RESTART_INTERVAL, 4, unit_rows * units_a_row)
            stream.write(_with_height(header, height, interval))
        else:
            stream.write(bytes([0xFF, 0xD0 + (index - 1) % 8]))
        stream.write(scan)
    stream.write(b"\xff\xd9")


def _encode(band: Pixels, layout: Layout | None) -> bytes:
    """A band as a JPEG file of its own; with the layout's metadata where one is given."""
    extra: dict[str, bytes] = {}
    if layout is not None and layout.metadata.icc_profile:
        extra["icc_profile"] = layout.metadata.icc_profile
    if layout is not None and 0 < len(layout.metadata.exif) <= 65_500:  # a segment's limit
        extra["exif"] = b"Exif\0\0" + layout.metadata.exif
    encoded = io.BytesIO()
    Image.fromarray(band).save(encoded, "JPEG", quality=_QUALITY, subsampling=0, **extra)
    return encoded.getvalue()


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each header segment; the last is the start of the scan."""
    start = 2
    while True:
        marker, length = encoded[start + 1], int.from_bytes(encoded[start + 2 : start + 4], "big")
        yield marker, start, start + 2 + length
        if marker == _START_OF_SCAN:
            return
        start += 2 + length


def _split(encoded: bytes) -> tuple[bytes, bytes]:
    """The header, and the coded units without the end marker."""
    *_, (_, _, end) = _segments(encoded)
    return encoded[:end], encoded[end:-2]


def _with_height(header: bytes, height: int, before_scan: bytes) -> bytes:
    """The header for a picture of another height, with a segment more."""
    changed = bytearray(header)
    for marker, start, _ in _segments(header):
        if marker == _START_OF_FRAME:
            changed[start + 5 : start + 7] = height.to_bytes(2, "big")
        if marker == _START_OF_SCAN:
            changed[start:start] = before_scan
    return bytes(changed)
