"""Super-resolution from a picture's own features: LIIF (arXiv 2012.09161), LINF (arXiv 2303.05156)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.imaging.coordinates import Region, Size, check_region
from arbiscale.imaging.resize import Kernel
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.heads import build_head
from arbiscale.networks.image_encoder import ImageEncoder
from arbiscale.networks.texture import Texture

BASE_KERNEL: Kernel = "bilinear"  # of what a residual network draws on
NEIGHBOURHOOD_PX = 3  # side of the window whose features the head reads together


class LocalImplicit(nn.Module):
    """An encoder of the low-resolution image and, on its unfolded features, a head as the decoder has one.

    With a `liif` head this is LIIF; with a `flow` head, and residual, LINF.
    """

    def __init__(self, settings: LocalImplicitSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = ImageEncoder(settings.encoder)
        self.head = build_head(settings.head, settings.encoder.width * NEIGHBOURHOOD_PX**2)
        if settings.largest_scale is not None:
            self.head.least_cell = 2 / settings.largest_scale

    def encode(self, image: Tensor) -> Tensor:
        """Features, not unfolded, of images (batch, 3, height, width) in [-1, 1]; of the images' size."""
        features: Tensor = self.encoder(image)
        return features

    def decode(
        self,
        features: Tensor,
        size: Size,
        *,
        region: Region | None = None,
        base: Tensor | None = None,
        texture: Texture | None = None,
    ) -> Tensor:
        """Draw encoded images at any size.

        Args:
            features: what `encode` returns.
            size: (height, width) of the output, in pixels.
            region: (top, left, height, width) of the part wanted; None = all.
            base: for a residual network, the low-resolution images resized by the bilinear kernel, the
                region's part of them, shape (batch, 3, *region size).
            texture: how a flow draws; None = at temperature 0.

        Returns:
            Images, not clamped, nominally in [-1, 1], shape (batch, 3, *region size).

        Raises:
            ValueError: a region outside the output; a base missing or not asked for.
        """
        if self.settings.residual != (base is not None):
            raise ValueError("a residual network needs `base`, and no other takes one")
        unfolded = unfold_rows(features, 0, features.shape[2])
        drawn: Tensor = self.head(unfolded, size, check_region(region, size), texture=texture)
        return drawn if base is None else drawn + base

    def log_likelihood(self, features: Tensor, size: Size, region: Region, residual: Tensor) -> Tensor:
        """The log-density of each patch of a region; see `FlowHead.log_likelihood`.

        Raises:
            ValueError: no flow draws.
        """
        if not isinstance(self.head, FlowHead):
            raise ValueError("only a flow has a likelihood")
        return self.head.log_likelihood(unfold_rows(features, 0, features.shape[2]), size, region, residual)


def unfold_rows(features: Tensor, start: int, stop: int) -> Tensor:
    """Rows of features in which each pixel has those of its 3x3 neighbourhood (LIIF, section 3.2).

    Args:
        features: of whole images, shape (batch, channels, height, width); beyond them stand zeros.
        start: the first row wanted.
        stop: the row behind the last.

    Returns:
        Shape (batch, 9 * channels, stop - start, width), channel by channel.
    """
    reach, height, width = NEIGHBOURHOOD_PX // 2, features.shape[2], features.shape[3]
    above, below = max(0, start - reach), min(height, stop + reach)
    outside = (reach, reach, above - (start - reach), stop + reach - below)
    window = functional.pad(features[:, :, above:below], outside)
    return functional.unfold(window, NEIGHBOURHOOD_PX).unflatten(2, (stop - start, width))
