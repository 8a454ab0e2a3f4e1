"""The picture formats: the one table of them, by suffix and by the first bytes of a file.

Nothing heavy is imported here: the command line reads this table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.imaging.picture import Metadata

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class Encoding:
    """What may be chosen of how a picture is written.

    Attributes:
        quality: of JPEG, WebP and AVIF, 1 to 100.
        lossless: of WebP and AVIF.
        dpi: pixels an inch that the file says; None = those of the picture that it is made of.
    """

    quality: int = 95
    lossless: bool = False
    dpi: float | None = None


@dataclass(frozen=True)
class Format:
    """A format of picture files that is read and written.

    Attributes:
        name: as people call it.
        suffixes: of its files.
        largest_px: of a side that is written.
        deep: whether 16 bits a sample are written.
        alpha: whether opacity is written.
        metadata: fields of `Metadata` that are written.
        xmp_bytes: of a picture's XMP that is written, beside what drew it.
    """

    name: str
    suffixes: tuple[str, ...]
    largest_px: int
    deep: bool = False
    alpha: bool = True
    metadata: tuple[str, ...] = ()
    xmp_bytes: float = math.inf

    def lost(self, metadata: Metadata) -> list[str]:
        """What of a picture's metadata this format does not hold, by name; colours become sRGB instead."""
        there = [name for name in _NAMES if getattr(metadata, name)]
        too_long = "xmp" if len(metadata.xmp) > self.xmp_bytes else ""
        return [_NAMES[name] for name in there if name not in self.metadata or name == too_long]


_NAMES = {  # of fields of `Metadata`
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "text": "PNG's texts",
    "comment": "JPEG's comment",
    "resolution": "resolution",
}
_BLOCKS = ("exif", "icc_profile", "xmp")
DEEP_ZOOM = ".dzi"

_ALL = (
    Format("PNG", (".png",), 2**31 - 1, deep=True, metadata=(*_BLOCKS, "text", "resolution")),
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        65_500,
        alpha=False,
        metadata=(*_BLOCKS, "iptc", "comment", "resolution"),
        xmp_bytes=55_000,  # libvips writes 60,000
    ),
    Format("WebP", (".webp",), 16_383, metadata=_BLOCKS),
    Format("TIFF", (".tif", ".tiff"), 2**31 - 1, deep=True, metadata=(*_BLOCKS, "iptc", "resolution")),
    Format("AVIF", (".avif",), 16_384, metadata=_BLOCKS),
    Format("GIF", (".gif",), 65_535),
    # A folder of JPEG tiles is beside it.
    Format("Deep Zoom", (DEEP_ZOOM,), 2**31 - 1, alpha=False, metadata=("xmp",), xmp_bytes=1_000_000),
)
FORMATS = {suffix: form for form in _ALL for suffix in form.suffixes}
READ_SUFFIXES = frozenset((*FORMATS, ".bmp")) - {DEEP_ZOOM}  # of files that are taken for pictures
PHOTOGRAPH_SUFFIXES = READ_SUFFIXES - {".gif"}  # which holds 256 colours

_SIGNATURES = {  # the first bytes of a file, by its format
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
}
_BRANDS = {  # of files that begin with a box `ftyp` (ISO/IEC 14496-12)
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
}


def find_format(path: Path, size: Size | None = None) -> Format:
    """The format of a path's suffix.

    Raises:
        UserError: there is none of that name, or it cannot hold a picture of (height, width) pixels.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise UserError(f"{path}: unknown picture suffix {path.suffix!r}; use one of {', '.join(FORMATS)}")
    if size is not None and max(size) > found.largest_px:
        raise UserError(
            f"{path}: {found.name} holds at most {found.largest_px:,} px a side, not {size[0]}x{size[1]}; "
            f"write .tif or .png"
        )
    return found


def recognise(start: bytes) -> str | None:
    """The name of a file's format by its first 32 bytes, whatever its suffix; None = no picture known."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        found = {_BRANDS.get(start[index : index + 4]) for index in (8, 16, 20, 24, 28)}
        return next((name for name in ("AVIF", "HEIC") if name in found), None)  # both may be `mif1`
    return next((name for signature, name in _SIGNATURES.items() if start.startswith(signature)), None)
