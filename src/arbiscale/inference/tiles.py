"""Overlapping tiles of a plane, and the smooth weights that blend what is computed tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size


@dataclass(frozen=True)
class Tiling:
    """How a plane is cut.

    Attributes:
        tile_px: longest side of a tile.
        overlap_px: least overlap of neighbouring tiles, at most half a tile.
        multiple: of which every tile's position and side are, as the plane's sides must be.
    """

    tile_px: int
    overlap_px: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_px <= self.tile_px // 2 or self.tile_px < self.multiple:
            raise ValueError(f"tiles of {self.tile_px} px cannot overlap by {self.overlap_px} px")


@dataclass(frozen=True)
class AxisTile:
    """A tile along one axis.

    Attributes:
        start: its first pixel.
        weights: the share of each of its pixels in the blend, shape (pixels,); the shares of all tiles
            add up to 1 in every pixel.
    """

    start: int
    weights: Tensor

    @property
    def stop(self) -> int:
        """The first pixel behind it."""
        return self.start + len(self.weights)


def cut(length_px: int, tiling: Tiling) -> list[AxisTile]:
    """Tiles of equal length that cover an axis, evenly spread; one where a tile holds it all.

    They are the fewest that do, and then as short as their overlap allows: no more is computed than needed.
    Weights rise along the overlap as the square of a sine. Its outer quarter gets none: there a
    network sees the padding beyond the tile rather than the picture.
    """
    multiple = tiling.multiple
    tile = tiling.tile_px // multiple * multiple
    if length_px <= tile:
        return [AxisTile(0, torch.ones(length_px))]
    overlap = -(-tiling.overlap_px // multiple) * multiple
    count = 1 + math.ceil((length_px - tile) / max(multiple, tile - overlap))
    shortest = (length_px + (count - 1) * overlap) / count
    tile = min(tile, math.ceil(shortest / multiple) * multiple)
    last = length_px - tile
    ideal = (last * index / (count - 1) for index in range(count))
    starts = sorted({round(start / multiple) * multiple for start in ideal})
    places = {start: slice(start, start + tile) for start in starts}
    windows = {start: _window(tile, tiling.overlap_px, start > 0, start < last) for start in starts}
    total = torch.zeros(length_px, dtype=torch.float64)
    for start, window in windows.items():
        total[places[start]] += window
    return [AxisTile(start, (windows[start] / total[place]).float()) for start, place in places.items()]


def _window(length_px: int, overlap_px: int, rises: bool, falls: bool) -> Tensor:
    """1 inside, smoothly down to 0 at the sides that neighbours overlap, float64 (length,)."""
    distance = torch.arange(length_px, dtype=torch.float64) + 0.5
    margin = overlap_px // 4
    window = torch.ones(length_px, dtype=torch.float64)
    for wanted, inwards in ((rises, distance), (falls, distance.flip(0))):
        if wanted:
            ramp = ((inwards - margin) / max(1, overlap_px - 2 * margin)).clamp(0, 1)
            window *= torch.sin(ramp * math.pi / 2).square()
    return window


def blend(size: Size, tiling: Tiling, compute: Callable[[Region], Tensor]) -> Tensor:
    """A plane computed tile by tile.

    Args:
        size: (height, width) of the plane.
        tiling: how it is cut.
        compute: from a tile's region to what fills it, shape (batch, channels, *region size).

    Returns:
        Shape (batch, channels, *size); a tile alone is passed on as it is.
    """
    columns = cut(size[1], tiling)
    rows = cut(size[0], tiling)
    if len(rows) == len(columns) == 1:
        return compute((0, 0, *size))
    plane: Tensor | None = None
    for row in rows:
        for top, left, tile in _weighted(row, columns, compute):
            if plane is None:
                plane = tile.new_zeros(*tile.shape[:2], *size)
            plane[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] += tile
    assert plane is not None
    return plane


def blend_strip(width_px: int, row: AxisTile, tiling: Tiling, compute: Callable[[Region], Tensor]) -> Tensor:
    """The share of one row of tiles in a plane, shape (batch, channels, rows of the tile, width)."""
    strip: Tensor | None = None
    for _, left, tile in _weighted(row, cut(width_px, tiling), compute):
        if strip is None:
            strip = tile.new_zeros(*tile.shape[:-1], width_px)
        strip[..., left : left + tile.shape[-1]] += tile
    assert strip is not None
    return strip


def _weighted(
    row: AxisTile, columns: list[AxisTile], compute: Callable[[Region], Tensor]
) -> Iterator[tuple[int, int, Tensor]]:
    """Top, left and weighted content of the tiles of one row."""
    for column in columns:
        tile = compute((row.start, column.start, len(row.weights), len(column.weights)))
        share = (row.weights[:, None] * column.weights).to(tile)
        yield row.start, column.start, tile * share
