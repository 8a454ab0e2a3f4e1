"""LIIF on large pictures: encoded in overlapping tiles, unfolded row by row."""

from __future__ import annotations

from torch import Tensor

from arbiscale.coordinates import Region, Size, crop
from arbiscale.inference.memory import fit_tiling
from arbiscale.inference.tiles import blend
from arbiscale.networks.liif import LIIF, unfold_rows

_COPIES = 5  # of the features that live at once in a residual block, with a convolution's own memory


class UnfoldedRows:
    """Encoded features as the head reads them, unfolded as they are asked for: `FeatureRows`."""

    whole = True

    def __init__(self, features: Tensor) -> None:
        self.size: Size = (features.shape[2], features.shape[3])
        self._features = features

    def rows(self, start: int, stop: int) -> Tensor:
        """Features (1, 9 * channels, stop - start, width) of some rows."""
        return unfold_rows(self._features, start, stop)


def encode_picture(liif: LIIF, low_resolution: Tensor, tile: str | int) -> Tensor:
    """Features of an image (1, 3, height, width) in [-1, 1] of any size.

    Args:
        liif: whose encoder it is.
        low_resolution: the image.
        tile: `auto`, `none` or the side of a tile in pixels; see `choose_tiling`.

    Raises:
        UserError: a tile too small for its overlap, or another word.
    """
    size = (low_resolution.shape[2], low_resolution.shape[3])
    tiling = fit_tiling(low_resolution.device, size, tile, 4 * _COPIES * liif.settings.width)
    if tiling is None:
        return liif.encode(low_resolution)

    def encode(region: Region) -> Tensor:
        return liif.encode(crop(low_resolution, region).contiguous()).float()

    return blend(size, tiling, encode)
