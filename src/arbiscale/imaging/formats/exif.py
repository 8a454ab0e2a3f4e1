"""EXIF of an upright picture of another size."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_KEPT_TAGS = (  # of the picture, not of how one file stores it
    ExifTags.Base.DocumentName,
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
    ExifTags.Base.Rating,
    ExifTags.Base.RatingPercent,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_ABOUT_SIZE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.Base.MakerNote)


class StoredText(str):
    """A text of EXIF that Pillow writes in the bytes of the file it read it from, often UTF-8.

    Pillow reads bytes as Latin-1, but writes question marks for all that is not ASCII.
    """

    def encode(self, *_: str) -> bytes:
        """The file's bytes, whatever is asked for; UTF-8 for a text that was set rather than read."""
        try:
            return super().encode("latin-1")
        except UnicodeEncodeError:
            return super().encode()


def as_stored(value: Any) -> Any:
    """A value of EXIF, its texts to be written as they were read."""
    return StoredText(value) if isinstance(value, str) else value


def first_directory(stream: BinaryIO) -> ImageFileDirectory_v2:
    """The tags of a TIFF or BigTIFF file's first page; whatever is wrong with them raises anything."""
    stream.seek(0)
    header = stream.read(8)
    directory = ImageFileDirectory_v2(header + stream.read(8) if _is_big(header) else header)
    stream.seek(directory.next)
    directory.load(stream)
    return directory


def _is_big(header: bytes) -> bool:
    return header[2:4] in {b"+\0", b"\0+"}


def kept_exif(block: bytes, *, tiff: bool = False) -> bytes:
    """What still holds of an EXIF block, or of a whole TIFF file's tags; empty where nothing, or broken."""
    found, kept = Image.Exif(), Image.Exif()
    try:
        if tiff and _is_big(block[:8]):  # Pillow reads no folders there
            found.update(
                {
                    tag: value
                    for tag, value in first_directory(io.BytesIO(block)).items()
                    if tag not in FOLDERS
                }
            )
        elif tiff:
            found.load_from_fp(io.BytesIO(block))
        else:
            found.load(b"Exif\0\0" + block.removeprefix(b"Exif\0\0"))
        for tag in _KEPT_TAGS:
            if tag in found:
                kept[tag] = as_stored(found[tag])
        for folder in FOLDERS:
            there = found.get_ifd(folder)
            values = {tag: as_stored(there[tag]) for tag in there if tag not in _ABOUT_SIZE}
            if values:
                kept.get_ifd(folder).update(values)
        whole = len(kept) or any(kept.get_ifd(folder) for folder in FOLDERS)
        return kept.tobytes().removeprefix(b"Exif\0\0") if whole else b""
    except Exception:  # broken metadata says nothing about the pixels
        return b""


def add_to_tiff(stream: BinaryIO, block: bytes) -> None:
    """Put an EXIF block's tags into a TIFF file: its directory, with them, is written anew at the end."""
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    directory = first_directory(stream)
    dict(directory)  # read before it is changed: only then are values written again
    for tag, value in exif.items():
        if tag not in FOLDERS:
            directory[tag] = as_stored(value)
    for folder in FOLDERS:
        if there := exif.get_ifd(folder):
            directory.tagtype[folder] = TiffTags.LONG
            directory[folder] = {tag: as_stored(value) for tag, value in there.items()}
    offset = stream.seek(0, os.SEEK_END)
    stream.write(b"\0" * (offset % 2))
    offset += offset % 2
    stream.write(directory.tobytes(offset))
    stream.seek(0)
    header = stream.read(4)
    place = 8 if _is_big(header) else 4
    stream.seek(place)
    stream.write(offset.to_bytes(place, "little" if header[:2] == b"II" else "big"))
