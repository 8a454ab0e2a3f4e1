"""LIIF: super-resolution by regression at any scale (arXiv 2012.09161), the field's yardstick."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.liif import LIIFNetworkSettings
from arbiscale.imaging.coordinates import Region, Size, check_region
from arbiscale.networks.edsr import EDSR
from arbiscale.networks.implicit_head import ImplicitHead

_NEIGHBOURHOOD_PX = 3  # side of the window whose features the head reads together


class LIIF(nn.Module):
    """EDSR's features, unfolded, under the same implicit head as the diffusion model's decoder."""

    def __init__(self, settings: LIIFNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = EDSR(settings.width, settings.blocks)
        unfolded = settings.width * _NEIGHBOURHOOD_PX**2
        self.head = ImplicitHead(unfolded, settings.head.width, settings.head.layers)

    def encode(self, image: Tensor) -> Tensor:
        """Features, not unfolded, of images (batch, 3, height, width) in [-1, 1]; of the images' size."""
        features: Tensor = self.encoder(image)
        return features

    def decode(self, features: Tensor, size: Size, *, region: Region | None = None) -> Tensor:
        """Draw encoded images at any size.

        Args:
            features: what `encode` returns.
            size: (height, width) of the output, in pixels.
            region: (top, left, height, width) of the part wanted; None = all.

        Returns:
            Images, not clamped, nominally in [-1, 1], shape (batch, 3, *region size).

        Raises:
            ValueError: a region outside the output.
        """
        unfolded = unfold_rows(features, 0, features.shape[2])
        return self.head(unfolded, size, check_region(region, size))


def unfold_rows(features: Tensor, start: int, stop: int) -> Tensor:
    """Rows of features in which each pixel has those of its 3x3 neighbourhood (LIIF, section 3.2).

    Args:
        features: of whole images, shape (batch, channels, height, width); beyond them stand zeros.
        start: the first row wanted.
        stop: the row behind the last.

    Returns:
        Shape (batch, 9 * channels, stop - start, width), channel by channel.
    """
    reach, height, width = _NEIGHBOURHOOD_PX // 2, features.shape[2], features.shape[3]
    above, below = max(0, start - reach), min(height, stop + reach)
    outside = (reach, reach, above - (start - reach), stop + reach - below)
    window = functional.pad(features[:, :, above:below], outside)
    return functional.unfold(window, _NEIGHBOURHOOD_PX).unflatten(2, (stop - start, width))
