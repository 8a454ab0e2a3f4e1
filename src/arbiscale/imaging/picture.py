"""A picture in memory: colours of 8 or 16 bits, alpha, and the metadata of its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Size

Pixels = NDArray[np.unsignedinteger[Any]]  # uint8 or uint16


@dataclass(frozen=True)
class Metadata:
    """What goes along with the pixels from file to file.

    Attributes:
        exif: the EXIF block without a header, orientation upright; empty = none.
        icc_profile: of the RGB values; None = sRGB.
    """

    exif: bytes = b""
    icc_profile: bytes | None = None


@dataclass(frozen=True)
class Picture:
    """An upright picture.

    Attributes:
        colour: uint8 or uint16, shape (height, width, 3).
        alpha: opacity of the same type, shape (height, width); None = opaque.
        metadata: of its file.
    """

    colour: Pixels
    alpha: Pixels | None = None
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        colour: Any = self.colour
        if not isinstance(colour, np.ndarray) or colour.dtype not in (np.uint8, np.uint16):
            kind = getattr(colour, "dtype", type(colour).__name__)
            raise UserError(f"the picture: must be uint8 or uint16, not {kind}")
        if colour.ndim != 3 or colour.shape[2] != 3 or not colour.size:
            raise UserError(f"the picture: must be (height, width, 3), not {colour.shape}")

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (self.colour.shape[0], self.colour.shape[1])

    @property
    def bits(self) -> int:
        """Bits of a sample: 8 or 16."""
        return 8 * self.colour.itemsize


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
