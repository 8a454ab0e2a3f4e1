"""What the implicit head reads, row by row: held whole, or computed strip by strip on the way down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.inference.tiles import AxisTile, Tiling, blend_strip, cut

_PROBE_PX = 16  # side of what is decoded to see how many features there are
_STRIP_BYTES = 3 << 27  # of one row of tiles, of which three may live at once
_LEAST_ROWS = 32  # of a tile

Decode = Callable[[Tensor], Tensor]  # latent -> features of the same height and width


class FeatureRows(Protocol):
    """Features of a latent.

    Attributes:
        size: (height, width) of the latent.
        whole: whether rows may be read again.
    """

    size: Size
    whole: bool

    def rows(self, start: int, stop: int) -> Tensor:
        """Features (1, channels, stop - start, width) of some rows; from top to bottom, unless whole."""
        ...


class WholeFeatures:
    """All features at once, as the feature decoder makes them of the whole latent."""

    whole = True

    def __init__(self, latent: Tensor, decode: Decode) -> None:
        self.size: Size = (latent.shape[-2], latent.shape[-1])
        self._features = decode(latent)

    def rows(self, start: int, stop: int) -> Tensor:
        """Features of some rows."""
        return self._features[..., start:stop, :]


class FeatureStrips:
    """Features of one row of tiles after the other; only strips that are still needed are held."""

    whole = False

    def __init__(self, latent: Tensor, decode: Decode, tiling: Tiling, *, down: Tiling | None = None) -> None:
        """Compute nothing yet; `down`: how rows are cut, where otherwise than columns."""
        self.size: Size = (latent.shape[-2], latent.shape[-1])
        self._latent, self._decode, self._tiling = latent, decode, tiling
        self._ahead = cut(self.size[0], down or tiling)
        self._held: list[tuple[AxisTile, Tensor]] = []

    def rows(self, start: int, stop: int) -> Tensor:
        """Features of some rows; raises ValueError for rows above those that were let go."""
        if start < (self._held[0][0].start if self._held else 0):
            raise ValueError(f"row {start} is gone; strips are read from top to bottom")
        self._held = [(tile, strip) for tile, strip in self._held if tile.stop > start]
        while self._ahead and self._ahead[0].start < stop:
            tile = self._ahead.pop(0)
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
            return self._decode(crop(self._latent, region).contiguous())

        return blend_strip(self.size[1], tile, self._tiling, decode)


class HeldFeatures:
    """All features at once, as they were computed strip by strip."""

    whole = True

    def __init__(self, strips: FeatureRows) -> None:
        self.size = strips.size
        height, width = strips.size
        first = strips.rows(0, 1)
        self._features = first.new_empty(*first.shape[:2], height, width)
        for start in range(0, height, _LEAST_ROWS):
            stop = min(start + _LEAST_ROWS, height)
            self._features[..., start:stop, :] = strips.rows(start, stop)

    def rows(self, start: int, stop: int) -> Tensor:
        """Features of some rows."""
        return self._features[..., start:stop, :]


def hold(features: FeatureRows) -> FeatureRows:
    """The same features, of which rows may be read again."""
    return features if features.whole else HeldFeatures(features)


def make_features(latent: Tensor, decode: Decode, tiling: Tiling | None) -> FeatureRows:
    """Whole features where no tiling is asked for or one tile holds the latent, else strips."""
    if tiling is None or max(latent.shape[-2:]) <= tiling.tile_px:
        return WholeFeatures(latent, decode)
    tile, overlap = tiling.tile_px, tiling.overlap_px
    channels = decode(crop(latent, (0, 0, _PROBE_PX, _PROBE_PX)).contiguous()).shape[1]
    rows = min(tile, max(_LEAST_ROWS, _STRIP_BYTES // (4 * channels * latent.shape[-1])))
    across, down = Tiling(tile * tile // rows, overlap), Tiling(rows, min(overlap, rows // 4))
    return FeatureStrips(latent, decode, across, down=down)
