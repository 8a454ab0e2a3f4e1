"""LIIF: super-resolution by regression at any scale (arXiv 2012.09161), the field's yardstick."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.config.section import Section
from arbiscale.imaging.coordinates import Region, Size, check_region
from arbiscale.networks.implicit_head import ImplicitHead

_NEIGHBOURHOOD_PX = 3  # side of the window whose features the head reads together


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input as they are (EDSR-baseline's scale of 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, width, height, width_px) to features of the same shape."""
        return features + self.second(self.first(features).relu())


class EDSR(nn.Module):
    """EDSR-baseline (arXiv 1707.02921) as LIIF's encoder: no mean colour, no normalisation, no upsampling."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in [-1, 1] to features (batch, width, height, width_px)."""
        shallow = self.stem(image)
        return shallow + self.last(self.blocks(shallow))


class LIIFNetworkSettings(Section):
    """Everything that decides a LIIF's tensors; no section of params.yaml, as it is imported."""

    width: int = Field(ge=1)  # channels of the encoder and of its features
    blocks: int = Field(ge=1)  # residual blocks of the encoder
    head: HeadSettings


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
