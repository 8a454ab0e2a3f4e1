"""Coordinates: (y, x) order, [-1, 1] from edge to edge of the image, pixel centres inside.

An axis of n pixels spans [-1, 1]; pixel i has its centre at (2 i + 1) / n - 1 and a width of 2 / n.
An image of any size covers the same square, so a query pixel of an output finds its neighbours among
the pixels of a latent by comparing coordinates. Every query here is a full grid, so the two axes are
independent and everything is kept per axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arbiscale.config.sizes import Size as Size

Region = tuple[int, int, int, int]  # (top, left, height, width), in output pixels

_TIE_SHIFT = 1e-6  # of LIIF: a query on the edge between two pixels belongs to the upper one


def pixel_centres(count: int, index: Tensor | None = None) -> Tensor:
    """Coordinates of the centres of pixels of an axis, float64 on the CPU (MPS has no float64).

    Args:
        count: how many pixels the axis has.
        index: of the pixels, any shape; those outside the axis lie beyond [-1, 1]. None = all, in order.

    Returns:
        The shape of the index; (count,) for all.
    """
    index = torch.arange(count) if index is None else index
    return (2 * index.double() + 1) / count - 1


@dataclass(frozen=True)
class AxisNeighbours:
    """The two input pixels around each output pixel of one axis, lower first.

    Attributes:
        index: input pixels, shape (2, outputs), clamped to the image.
        relative: query minus that pixel's centre, in units of half input pixels, shape (2, outputs).
        cell: the output pixel's width in the same units.
    """

    index: Tensor
    relative: Tensor
    cell: float

    def part(self, outputs: slice) -> AxisNeighbours:
        """Those of some outputs."""
        return AxisNeighbours(self.index[:, outputs], self.relative[:, outputs], self.cell)

    def moved(self, origin: int) -> AxisNeighbours:
        """The same, input pixels counted from `origin` on."""
        return AxisNeighbours(self.index - origin, self.relative, self.cell)


def neighbours(coordinate: Tensor, inputs: int) -> tuple[Tensor, Tensor]:
    """The two of `inputs` pixels of an axis around queries: their index and the query relative to them.

    The local ensemble of LIIF (arXiv 2012.09161, section 3.2), along one axis: the pixel that holds
    the point half an input pixel before, and after, the query.

    Args:
        coordinate: of the queries, any shape, float64.
        inputs: how many pixels the axis has.

    Returns:
        Index, int64, and query minus the pixel's centre in units of half input pixels, float32; each of
        shape (2, *shape of the coordinates), lower pixel first.
    """
    position = (coordinate + 1 + _TIE_SHIFT) * inputs / 2  # in input pixels, 0 at the edge
    half = torch.tensor([-0.5, 0.5], dtype=torch.float64).view(2, *[1] * coordinate.ndim)
    index = (position + half).floor().clamp(0, inputs - 1).long()  # (2, ...)
    return index, ((coordinate - pixel_centres(inputs, index)) * inputs).float()


def axis_neighbours(outputs: int, inputs: int, start: int, count: int, *, step: int = 1) -> AxisNeighbours:
    """Neighbours of `count` output pixels of an axis of `outputs` pixels.

    Args:
        outputs: pixels of the whole output.
        inputs: pixels of the input.
        start: the first output pixel; it may lie outside the output.
        count: how many.
        step: from one to the next; centres of patches lie a patch apart.
    """
    queries = pixel_centres(outputs, start + step * torch.arange(count))
    found, relative = neighbours(queries, inputs)
    return AxisNeighbours(found, relative, cell=2 * inputs / outputs)


def check_region(region: Region | None, size: Size) -> Region:
    """The region itself, or all of an output of this size; raises ValueError where it exceeds the output."""
    if region is None:
        return (0, 0, *size)
    top, left, height, width = region
    if top < 0 or left < 0 or height < 1 or width < 1 or top + height > size[0] or left + width > size[1]:
        raise ValueError(f"region {region} does not lie inside an output of {size[0]}x{size[1]} px")
    return region


def crop(image: Tensor, region: Region) -> Tensor:
    """The pixels of a region of an image (batch, channels, height, width)."""
    top, left, height, width = region
    return image[..., top : top + height, left : left + width]


def random_region(size: Size, side: int | Size, *, multiple: int = 1) -> Region:
    """A region at a uniform position, from the global random state.

    Args:
        size: (height, width) of the whole.
        side: of a square region, or its (height, width), at most; shorter where the whole is.
        multiple: of which sides are.
    """
    sides = (side, side) if isinstance(side, int) else side
    height, width = (
        min(wanted, whole) // multiple * multiple for wanted, whole in zip(sides, size, strict=True)
    )
    top = int(torch.randint(size[0] - height + 1, ()))
    left = int(torch.randint(size[1] - width + 1, ()))
    return (top, left, height, width)
