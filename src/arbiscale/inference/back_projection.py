"""What a drawing lacks to be its picture again when it is shrunk: iterative back-projection.

Irani and Peleg, Improving resolution by image registration (CVGIP 1991); "Seven ways to improve example-based
single image super resolution" (arXiv 1511.02228), section 3.5, has it behind a network. Here what is lacking
is kept at the picture's own size, so that it is added to any region, at any scale, by one resize.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.resize import resize

_PASSES = 4  # after these, few pixels are off by more than a level of 8 bits
_REACH = 4 * _PASSES  # rows: a pass reads two to shrink and two to enlarge, to either side
_ROWS = 64  # at a time
_LARGEST_FACTOR = 8  # beyond, what is lacking changes little, and rows become long

Finish = Callable[[Tensor, Size, Region], Tensor]


def size_to_compare(picture: Size, size: Size, whole_px: int) -> Size | None:
    """The (height, width) of a drawing that is compared with its picture, for one at `size`.

    That size itself up to `whole_px` pixels, beyond it whole multiples of the picture: each of its rows is
    then shrunk alike, so a part of them can be. None = an axis becomes smaller: no drawing holds the picture.
    """
    if size[0] < picture[0] or size[1] < picture[1]:
        return None
    if size[0] * size[1] <= whole_px:
        return size
    return picture[0] * _factor(size[0] / picture[0]), picture[1] * _factor(size[1] / picture[1])


def _factor(scale: float) -> int:
    return min(math.ceil(scale), _LARGEST_FACTOR)


class BackProjection:
    """What drawings of a picture lack; that of the last one is kept."""

    def __init__(self, picture: Tensor, whole_px: int) -> None:
        """Begin with nothing.

        Args:
            picture: shape (1, 3, height, width), in [-1, 1].
            whole_px: of a drawing that is looked at as a whole.
        """
        self._picture = picture
        self._whole_px = whole_px
        self._known: tuple[object, Tensor] | None = None

    def compared_at(self, size: Size) -> Size | None:
        """The (height, width) of a drawing that tells what one at `size` lacks; see `size_to_compare`."""
        height, width = self._picture.shape[-2:]
        return size_to_compare((height, width), size, self._whole_px)

    def lacking(
        self, size: Size, dials: object, bands: Iterable[tuple[Region, Tensor]], finish: Finish
    ) -> Tensor:
        """What to add to the picture before it is enlarged onto its drawing, so that both agree.

        Args:
            size: of the drawing, as `compared_at` tells it.
            dials: whatever else decides it.
            bands: the drawing from top to bottom, read where this is not known: shape (1, 3, rows, size[1]).
            finish: what is done to a region of the drawing once the picture's part is added.

        Returns:
            Shape (1, 3, height, width). Memory does not grow with the height but by this, and by `whole_px`.
        """
        if self._known is None or self._known[0] != (size, dials):
            self._known = (size, dials), self._lacking(size, (drawn for _, drawn in bands), finish)
        return self._known[1]

    def _lacking(self, size: Size, bands: Iterator[Tensor], finish: Finish) -> Tensor:
        height = self._picture.shape[-2]
        rows = height if size[0] % height else _ROWS
        drawn, top = next(bands), 0  # rows of the drawing, from this one on
        parts = []
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            first, last = max(0, start - _REACH), min(height, stop + _REACH)
            above, below = first * size[0] // height, last * size[0] // height
            drawn, top = drawn[:, :, above - top :], above
            while drawn.shape[-2] < below - above:
                drawn = torch.cat([drawn, next(bands)], dim=2)
            region = (above, 0, below - above, size[1])
            seen = self._picture[:, :, first:last]
            found = _lacking_here(seen, drawn[:, :, : below - above], size, region, finish)
            parts.append(found[:, :, start - first : stop - first])
        return torch.cat(parts, dim=2)


def _lacking_here(picture: Tensor, drawn: Tensor, size: Size, region: Region, finish: Finish) -> Tensor:
    """Of some rows of a picture, from the region of the drawing that they became."""
    lacking = torch.zeros_like(picture)
    for _ in range(_PASSES):
        nearer = finish(drawn + resize(lacking, region[2:]), size, region).clamp(-1, 1)
        lacking = lacking + picture - resize(nearer, (picture.shape[-2], picture.shape[-1]))
    return lacking
