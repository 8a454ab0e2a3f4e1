"""The picture formats by suffix: the one table of them. Each is written band by band, by its own module.

Nothing heavy is imported before a picture is written: the command line reads this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.imaging.coordinates import Size
    from arbiscale.imaging.formats.layout import Layout
    from arbiscale.imaging.picture import Pixels


@dataclass(frozen=True)
class Format:
    """A way to write pictures.

    Attributes:
        name: as people call it; in lower case its module here.
        largest_px: of a side.
        deep: whether it holds 16 bits a sample.
        alpha: whether it holds opacity.
    """

    name: str
    largest_px: int
    deep: bool
    alpha: bool

    def write(self, stream: BinaryIO, layout: Layout, bands: Iterator[Pixels]) -> None:
        """Write a picture's bands of rows to an open file."""
        import_module(f"{__name__}.{self.name.lower()}").write(stream, layout, bands)


_PNG = Format("PNG", 2**31 - 1, deep=True, alpha=True)
_JPEG = Format("JPEG", 65_500, deep=False, alpha=False)
_WEBP = Format("WebP", 16_383, deep=False, alpha=True)
_TIFF = Format("TIFF", 2**31 - 1, deep=True, alpha=True)
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
