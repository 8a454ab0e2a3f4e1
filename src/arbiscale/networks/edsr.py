"""EDSR without its upsampling: a low-resolution image -> features of its size (arXiv 1707.02921)."""

from __future__ import annotations

from torch import Tensor, nn


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
    """EDSR-baseline as LIIF's encoder: no normalisation, no subtracted mean colour, no upsampling."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in [-1, 1] to features (batch, channels, height, width)."""
        shallow = self.stem(image)
        return shallow + self.last(self.blocks(shallow))
