"""Agreement of an upscaled image with the image it was made from."""

from __future__ import annotations

from torch import Tensor

from arbiscale.imaging.resize import resize
from arbiscale.metrics.quality import psnr


def consistency(images: Tensor, low_resolution: Tensor) -> Tensor:
    """PSNR of the re-downscaled (antialiased bicubic) images against the low-resolution input.

    Args:
        images: shape (batch, channels, height, width), in [0, 1].
        low_resolution: shape (batch, channels, low height, low width), in [0, 1].

    Returns:
        In dB, at most 100, shape (batch,).
    """
    height, width = low_resolution.shape[-2:]
    return psnr(resize(images, (height, width)).clamp(0, 1), low_resolution)
