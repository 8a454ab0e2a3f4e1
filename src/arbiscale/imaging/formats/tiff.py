"""Tiled TIFF, BigTIFF where it grows beyond 4 GiB, one row of tiles after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from arbiscale.imaging.formats.layout import Layout, regroup
from arbiscale.imaging.picture import Pixels, as_stored

_TILE_PX = 256
_CLASSIC_BYTES = 4_000_000_000  # of samples that surely fit 32-bit offsets, compressed or not
_TEXT, _OFFSET = 2, 4  # types of tags
_FOLDERS = (
    ExifTags.IFD.Exif,
    ExifTags.IFD.GPSInfo,
)  # whose tags tifffile does not write; those before, it does


def write(stream: BinaryIO, layout: Layout, bands: Iterator[Pixels]) -> None:
    """Write a picture as its bands arrive; a BigTIFF keeps of EXIF only what stands in texts."""
    shape = (*layout.size, layout.channels)
    big = int(np.prod(shape)) * layout.bits // 8 > _CLASSIC_BYTES
    exif = Image.Exif()
    if layout.metadata.exif:
        exif.load(b"Exif\0\0" + layout.metadata.exif)
    stored = {tag: as_stored(value).encode() for tag, value in exif.items() if isinstance(value, str)}
    texts = [(tag, _TEXT, 0, value, True) for tag, value in stored.items()]
    folders = [] if big else [folder for folder in _FOLDERS if exif.get_ifd(folder)]
    with tifffile.TiffWriter(stream, bigtiff=big, byteorder="<") as writer:
        writer.write(
            _tiles(layout, bands),
            shape=shape,
            dtype=np.uint16 if layout.bits == 16 else np.uint8,
            photometric="rgb",
            extrasamples=["unassalpha"] if layout.channels == 4 else None,
            tile=(_TILE_PX, _TILE_PX),
            compression="zlib",
            predictor=True,
            iccprofile=layout.metadata.icc_profile,
            metadata=None,
            software=False,
            extratags=texts + [(folder - 1, _OFFSET, 1, 0, True) for folder in folders],
        )
    for folder in folders:
        _append(stream, folder, exif.get_ifd(folder))


def _append(stream: BinaryIO, folder: int, values: dict[int, Any]) -> None:
    """Put a folder of tags behind the end and turn the tag before its own into one that points there."""
    directory = ImageFileDirectory_v2(group=folder)
    for tag, value in values.items():
        directory[tag] = as_stored(value)
    offset = stream.seek(0, os.SEEK_END)
    stream.write(directory.tobytes(offset))
    stream.seek(0)
    with tifffile.TiffFile(stream) as file:
        entry = file.pages.first.tags[folder - 1]
    for place, number, count in ((entry.offset, folder, 2), (entry.valueoffset, offset, 4)):
        stream.seek(place)
        stream.write(number.to_bytes(count, "little"))


def _tiles(layout: Layout, bands: Iterator[Pixels]) -> Iterator[Pixels]:
    """Tiles from left to right and top to bottom, those at the edges filled up with zeros."""
    for band in regroup(bands, _TILE_PX):
        for left in range(0, layout.size[1], _TILE_PX):
            part = band[:, left : left + _TILE_PX]
            missing = [(0, _TILE_PX - side) for side in part.shape[:2]]
            yield np.pad(part, [*missing, (0, 0)]) if any(after for _, after in missing) else part
