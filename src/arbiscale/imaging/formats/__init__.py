"""Picture formats that are written band by band, by suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.formats import jpeg, png, tiff, webp
from arbiscale.imaging.formats.layout import Layout
from arbiscale.imaging.picture import Pixels


@dataclass(frozen=True)
class Format:
    """A way to write pictures.

    Attributes:
        name: as people call it.
        write: a file's content, to an open file.
        largest_px: of a side.
        deep: whether it holds 16 bits a sample.
        alpha: whether it holds opacity.
    """

    name: str
    write: Callable[[BinaryIO, Layout, Iterator[Pixels]], None]
    largest_px: int
    deep: bool
    alpha: bool


_PNG = Format("PNG", png.write, 2**31 - 1, deep=True, alpha=True)
_JPEG = Format("JPEG", jpeg.write, 65_500, deep=False, alpha=False)
_WEBP = Format("WebP", webp.write, 16_383, deep=False, alpha=True)
_TIFF = Format("TIFF", tiff.write, 2**31 - 1, deep=True, alpha=True)
FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
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
