"""Resizing with PIL's kernels: antialiased, on tensors, differentiable."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from arbiscale.coordinates import Size

Kernel = Literal["nearest", "bilinear", "bicubic"]


def resize(image: Tensor, size: Size, kernel: Kernel = "bicubic") -> Tensor:
    """Resize images (batch, channels, height, width) to (batch, channels, *size), without clamping.

    The support of the kernel widens when shrinking (antialiasing), as in PIL, whose bicubic kernel
    has a = -0.5. Bicubic results can leave the input's range.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if kernel == "nearest":
        return functional.interpolate(image, size, mode="nearest-exact")
    return functional.interpolate(image, size, mode=kernel, antialias=True, align_corners=False)
