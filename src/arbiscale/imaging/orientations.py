"""The 8 ways to lay a picture: quarter turns, mirrored or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.picture import Pixels


@dataclass(frozen=True)
class Orientation:
    """One of them: turned counterclockwise, then mirrored.

    Attributes:
        quarters: turns of 90 degrees, 0 to 3.
        mirrored: left to right.
    """

    quarters: int = 0
    mirrored: bool = False

    def turn(self, image: Tensor) -> Tensor:
        """An upright image (..., height, width), laid so."""
        turned = torch.rot90(image, self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned

    def turn_pixels(self, pixels: Pixels) -> Pixels:
        """Upright pixels (height, width, channels), laid so."""
        turned = np.rot90(pixels, self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def turn_back(self, image: Tensor) -> Tensor:
        """An image (..., height, width) laid so, upright."""
        turned = image.flip(-1) if self.mirrored else image
        return torch.rot90(turned, -self.quarters, (-2, -1))

    def size(self, size: Size) -> Size:
        """(height, width) of what `turn` makes of an image of this size."""
        return (size[1], size[0]) if self.quarters % 2 else size

    def region(self, region: Region, size: Size) -> Region:
        """Where `turn` lays a region (top, left, height, width) of an image of (height, width) pixels."""
        (top, left, height, width), (rows, columns) = region, size
        for _ in range(self.quarters):
            top, left, height, width = columns - left - width, top, width, height
            rows, columns = columns, rows
        return (top, columns - left - width if self.mirrored else left, height, width)


UPRIGHT = Orientation()
ORIENTATIONS = tuple(Orientation(quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
