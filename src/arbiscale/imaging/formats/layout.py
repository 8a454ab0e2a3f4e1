"""What a file's header says of its pixels, and bands cut to the rows a format wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.picture import Metadata, Pixels


@dataclass(frozen=True)
class Layout:
    """Of a picture to write.

    Attributes:
        size: (height, width) in pixels.
        channels: 3, or 4 with alpha.
        bits: of a sample, 8 or 16.
        metadata: to write along.
    """

    size: Size
    channels: int = 3
    bits: int = 8
    metadata: Metadata = field(default_factory=Metadata)


def regroup(bands: Iterable[Pixels], rows: int) -> Iterator[Pixels]:
    """The same rows in bands of exactly so many, but for the last."""
    held: list[Pixels] = []
    count = 0
    for band in bands:
        while count + len(band) >= rows:
            missing = rows - count
            held.append(band[:missing])
            yield held[0] if len(held) == 1 else np.concatenate(held)
            held, count, band = [], 0, band[missing:]
        if len(band):
            held.append(band)
            count += len(band)
    if held:
        yield np.concatenate(held)
