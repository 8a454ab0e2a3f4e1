"""What the implicit head reads, row by row: held whole, or computed strip by strip on the way down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.imaging.orientations import UPRIGHT, Orientation
from arbiscale.inference.tiles import AxisTile, Tiling, blend_strip, cut

_PROBE_PX = 16  # side of what is decoded to see how many features there are
_STRIP_BYTES = 3 << 27  # of one row of tiles, of which three may live at once
_LEAST_ROWS = 32  # of a tile
KEPT_BYTES = 3 << 27  # of tiles, of one latent: a part of it is seen at a time

Decode = Callable[[Tensor], Tensor]  # latent -> features of the same height and width


class FeatureRows(Protocol):
    """Features of a latent.

    Attributes:
        size: (height, width) of the latent.
        whole: whether any part may be read again.
    """

    size: Size
    whole: bool

    def part(self, region: Region) -> Tensor:
        """Features (batch, channels, height, width) of a region; from top to bottom, unless whole."""
        ...


class WholeFeatures:
    """All features at once, as the feature decoder makes them of the whole latent."""

    whole = True

    def __init__(self, latent: Tensor, decode: Decode) -> None:
        self.size: Size = (latent.shape[-2], latent.shape[-1])
        self._features = decode(latent)

    def part(self, region: Region) -> Tensor:
        """Features of a part."""
        return crop(self._features, region)


class FeatureStrips:
    """Features of one row of tiles after the other; only strips that are still needed are held.

    Attributes:
        latent: that is decoded.
        decode: from a part of it to the part's features.
        tiling: how columns are cut.
        ahead: rows of tiles that are still to be computed.
    """

    whole = False

    def __init__(self, latent: Tensor, decode: Decode, tiling: Tiling, *, down: Tiling | None = None) -> None:
        """Compute nothing yet; `down`: how rows are cut, where otherwise than columns."""
        self.size: Size = (latent.shape[-2], latent.shape[-1])
        self.latent, self.decode, self.tiling = latent, decode, tiling
        self.ahead = cut(self.size[0], down or tiling)
        self._held: list[tuple[AxisTile, Tensor]] = []

    def part(self, region: Region) -> Tensor:
        """Features of a part; see `rows`."""
        top, left, height, width = region
        return self.rows(top, top + height)[..., left : left + width]

    def rows(self, start: int, stop: int) -> Tensor:
        """Features of some rows; raises ValueError for rows above those that were let go."""
        if start < (self._held[0][0].start if self._held else 0):
            raise ValueError(f"row {start} is gone; strips are read from top to bottom")
        self._held = [(tile, strip) for tile, strip in self._held if tile.stop > start]
        while self.ahead and self.ahead[0].start < stop:
            tile = self.ahead.pop(0)
            if tile.stop > start:
                self._held.append((tile, self._strip(tile)))
        some = self._held[0][1]
        result = some.new_zeros(*some.shape[:2], stop - start, self.size[1])
        for tile, strip in self._held:
            top, bottom = max(start, tile.start), min(stop, tile.stop)
            if top < bottom:
                result[..., top - start : bottom - start, :] += strip[
                    ..., top - tile.start : bottom - tile.start, :
                ]
        return result

    def _strip(self, tile: AxisTile) -> Tensor:
        def decode(region: Region) -> Tensor:
            return self.decode(crop(self.latent, region).contiguous())

        return blend_strip(self.size[1], tile, self.tiling, decode)


class FeatureTiles:
    """The same features tile by tile, computed when they are first read; the oldest are forgotten."""

    whole = True

    def __init__(self, strips: FeatureStrips, budget: int = KEPT_BYTES) -> None:
        """Compute nothing yet; `budget`: bytes of the tiles that are kept, of one at least."""
        self.size = strips.size
        self._latent, self._decode = strips.latent, strips.decode
        self._down, self._across = strips.ahead, cut(self.size[1], strips.tiling)
        self._budget = budget
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def part(self, region: Region) -> Tensor:
        """Features of a part, to the bit what strips make of it."""
        top, left, height, width = region
        result: Tensor | None = None
        for row in _meeting(self._down, top, height):
            strip: Tensor | None = None
            for column in _meeting(self._across, left, width):
                tile = self._tile(row, column)
                if strip is None:
                    strip = tile.new_zeros(*tile.shape[:-1], width)
                first, stop = max(left, column.start), min(left + width, column.stop)
                strip[..., first - left : stop - left] += tile[
                    ..., first - column.start : stop - column.start
                ]
            assert strip is not None
            if result is None:
                result = strip.new_zeros(*strip.shape[:2], height, width)
            first, stop = max(top, row.start), min(top + height, row.stop)
            result[..., first - top : stop - top, :] += strip[..., first - row.start : stop - row.start, :]
        assert result is not None
        return result

    def _tile(self, row: AxisTile, column: AxisTile) -> Tensor:
        """A tile, weighted for the blend."""
        key = (row.start, column.start)
        if key not in self._kept:
            region = (row.start, column.start, len(row.weights), len(column.weights))
            tile = self._decode(crop(self._latent, region).contiguous())
            self._kept[key] = tile * (row.weights[:, None] * column.weights).to(tile)
        self._kept.move_to_end(key)
        tile = self._kept[key]
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)
        return tile


def _meeting(tiles: list[AxisTile], start: int, count: int) -> list[AxisTile]:
    """The tiles that have a part in `count` pixels of an axis."""
    return [tile for tile in tiles if tile.start < start + count and tile.stop > start]


def hold(features: FeatureRows) -> FeatureRows:
    """The same features, of which any part may be read again."""
    return FeatureTiles(features) if isinstance(features, FeatureStrips) else features


def make_features(latent: Tensor, decode: Decode, tiling: Tiling | None) -> FeatureRows:
    """Whole features where no tiling is asked for or one tile holds the latent, else strips."""
    if tiling is None or max(latent.shape[-2:]) <= tiling.tile_px:
        return WholeFeatures(latent, decode)
    tile, overlap = tiling.tile_px, tiling.overlap_px
    batch, channels, *_ = decode(crop(latent, (0, 0, _PROBE_PX, _PROBE_PX)).contiguous()).shape
    rows = min(tile, max(_LEAST_ROWS, _STRIP_BYTES // (4 * batch * channels * latent.shape[-1])))
    across, down = Tiling(tile * tile // rows, overlap), Tiling(rows, min(overlap, rows // 4))
    return FeatureStrips(latent, decode, across, down=down)


def seen_in(orientations: Sequence[Orientation], decode: Decode) -> Decode:
    """From a batch of upright latents to their upright features, each decoded laid in its own orientation."""
    if tuple(orientations) == (UPRIGHT,):
        return decode

    def decode_each(latents: Tensor) -> Tensor:
        laid = zip(orientations, latents.split(1), strict=True)
        return torch.cat([each.turn_back(decode(each.turn(latent).contiguous())) for each, latent in laid])

    return decode_each
