"""Encoders of low-resolution images: features of every pixel, no upsampling, no normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.autoencoder import BranchSettings
from arbiscale.config.local_implicit import ImageEncoderSettings

_RESIDUAL_SCALE = 0.2  # of dense blocks, and of blocks of them
_LEAK = 0.2
_DENSE_LAYERS = 5


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input as they are (EDSR-baseline's scale of 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, width, height, width_px) to features of the same shape."""
        return features + self.second(self.first(features).relu())


class DenseBlock(nn.Module):
    """Convolutions that read the input and all results before them; the last is added to the input."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        last = _DENSE_LAYERS - 1
        self.layers = nn.ModuleList(
            nn.Conv2d(width + layer * growth, width if layer == last else growth, 3, padding=1)
            for layer in range(_DENSE_LAYERS)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, width, height, width_px) to features of the same shape."""
        known = features
        *growing, last = self.layers
        for layer in growing:
            known = torch.cat([known, functional.leaky_relu(layer(known), _LEAK)], dim=1)
        return features + _RESIDUAL_SCALE * last(known)


class ResidualDenseBlock(nn.Module):
    """Three dense blocks, added to their input (RRDB of ESRGAN, arXiv 1809.00219)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, width, height, width_px) to features of the same shape."""
        return features + _RESIDUAL_SCALE * self.blocks(features)


class ImageEncoder(nn.Module):
    """EDSR-baseline (arXiv 1707.02921) or RRDB: convolution, blocks, convolution, added to the first.

    As in LIIF and LINF: no mean colour, no upsampling.
    """

    def __init__(self, settings: ImageEncoderSettings) -> None:
        super().__init__()
        width = settings.width
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(width)
                if settings.kind == "edsr"
                else ResidualDenseBlock(width, settings.growth)
                for _ in range(settings.blocks)
            )
        )
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in [-1, 1] to features (batch, width, height, width_px)."""
        shallow = self.stem(image)
        return shallow + self.last(self.blocks(shallow))


def build_branch(settings: BranchSettings) -> ImageEncoder | None:
    """An encoder of EDSR's kind as a decoder's branch; None where it has no blocks.

    Its blocks begin as the identity: a deeper branch draws as the shallower one does whose weights it starts
    from.
    """
    if not settings.blocks:
        return None
    encoder = ImageEncoder(ImageEncoderSettings(kind="edsr", width=settings.width, blocks=settings.blocks))
    for name, parameter in encoder.blocks.named_parameters():
        if ".second." in name:
            nn.init.zeros_(parameter)
    return encoder
