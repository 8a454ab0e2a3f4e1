"""What super-resolution derives from images: the low-resolution input, the condition and the base."""

from __future__ import annotations

from torch import Tensor

from arbiscale.coordinates import Size
from arbiscale.resize import Kernel, resize


def shrink(image: Tensor, factor: int) -> Tensor:
    """The low-resolution version of images: (batch, 3, height / factor, width / factor).

    Antialiased bicubic, clamped to [-1, 1] as pictures are (not rounded to 8 bits).
    """
    height, width = image.shape[-2:]
    return resize(image, (height // factor, width // factor)).clamp(-1, 1)


def condition_image(low_resolution: Tensor, factor: int, kernel: Kernel) -> Tensor:
    """The low-resolution image upsampled by the fixed training factor, whatever scale is wanted."""
    height, width = low_resolution.shape[-2:]
    return resize(low_resolution, (height * factor, width * factor), kernel)


def base_image(low_resolution: Tensor, size: Size) -> Tensor:
    """What a residual decoder draws on: the bicubic low-resolution image at the output's size."""
    return resize(low_resolution, size)
