"""A picture in memory: colours of 8 or 16 bits, alpha, and the metadata of its file."""

from __future__ import annotations

from collections.abc import Mapping
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
        icc_profile: of the colours; None = sRGB.
        xmp: the XMP packet; empty = none.
        iptc: the IPTC block; empty = none.
        text: PNG's texts by their keys.
        comment: JPEG's.
        resolution: pixels a millimetre, (horizontal, vertical); None = not said.
    """

    exif: bytes = b""
    icc_profile: bytes | None = None
    xmp: bytes = b""
    iptc: bytes = b""
    text: Mapping[str, str] = field(default_factory=dict)
    comment: bytes = b""
    resolution: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """An upright picture.

    Attributes:
        colour: uint8 or uint16, shape (height, width, 3), or (height, width, 1) for grey.
        alpha: opacity of the same type, shape (height, width), colours not multiplied by it; None = opaque.
        metadata: of its file.
        problems: what was wrong with the file, or left out of it; a line each.
    """

    colour: Pixels
    alpha: Pixels | None = None
    metadata: Metadata = field(default_factory=Metadata)
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        colour: Any = self.colour
        if not isinstance(colour, np.ndarray) or colour.dtype not in (np.uint8, np.uint16):
            kind = getattr(colour, "dtype", type(colour).__name__)
            raise UserError(f"the picture: must be uint8 or uint16, not {kind}")
        if colour.ndim != 3 or colour.shape[2] not in {1, 3} or not colour.size:
            raise UserError(f"the picture: must be (height, width, 1 or 3), not {colour.shape}")

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (self.colour.shape[0], self.colour.shape[1])

    @property
    def rgb(self) -> Pixels:
        """The colours in three channels, equal ones for grey."""
        return np.repeat(self.colour, 3, axis=2) if self.grey else self.colour

    @property
    def grey(self) -> bool:
        """Whether it has one channel."""
        return self.colour.shape[2] == 1

    @property
    def bits(self) -> int:
        """Bits of a sample: 8 or 16."""
        return 8 * self.colour.itemsize
