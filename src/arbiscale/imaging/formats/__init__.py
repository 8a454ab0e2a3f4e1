"""The picture formats: the one table of them, by suffix and by the first bytes of a file.

Nothing heavy is imported here: the command line reads this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arbiscale.errors import UserError

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class Format:
    """A format of picture files that is read and written.

    Attributes:
        name: as people call it.
        suffixes: of its files.
        largest_px: of a side that is written.
        deep: whether 16 bits a sample are written.
        alpha: whether opacity is written.
    """

    name: str
    suffixes: tuple[str, ...]
    largest_px: int
    deep: bool = False
    alpha: bool = True


_ALL = (
    Format("PNG", (".png",), 2**31 - 1, deep=True),
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), 65_500, alpha=False),
    Format("WebP", (".webp",), 16_383),
    Format("TIFF", (".tif", ".tiff"), 2**31 - 1, deep=True),
)
FORMATS = {suffix: form for form in _ALL for suffix in form.suffixes}
READ_ONLY = (".avif", ".gif", ".bmp")
READ_SUFFIXES = frozenset((*FORMATS, *READ_ONLY))  # of files that are taken for pictures
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
        brands = [start[index : index + 4] for index in (8, 16, 20, 24, 28)]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return next((name for signature, name in _SIGNATURES.items() if start.startswith(signature)), None)
