"""Resizing tensors with PIL's kernels, and what super-resolution derives from images by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

from arbiscale.imaging.coordinates import Size

Kernel = Literal["nearest", "bilinear", "bicubic"]
Shrink = Callable[[Tensor, Size], Tensor]  # from images to their low-resolution versions of a size
BASE_KERNEL: Kernel = "bicubic"  # of what a residual decoder draws on


def resize(image: Tensor, size: Size, kernel: Kernel = "bicubic") -> Tensor:
    """Resize images (batch, channels, height, width) to (batch, channels, *size), without clamping.

    The support of the kernel widens when shrinking (antialiasing), as in PIL, whose bicubic kernel
    has a = -0.5. Bicubic results can leave the input's range.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if kernel == "nearest":
        return functional.interpolate(image, size, mode="nearest-exact")
    if size[1] == 1:  # torch 2.13 is wrong there on a CPU where the height changes too
        wide = image.expand(*image.shape[:-1], max(2, image.shape[-1]))
        image = _interpolated(wide, (size[0], wide.shape[-1]), kernel)
    return _interpolated(image, size, kernel)


def _interpolated(image: Tensor, size: Size, kernel: Kernel) -> Tensor:
    return functional.interpolate(image, size, mode=kernel, antialias=True, align_corners=False)


def shrink_to(image: Tensor, size: Size) -> Tensor:
    """`shrink` to (height, width) pixels."""
    return resize(image, size).clamp(-1, 1)


def shrink(image: Tensor, factor: int) -> Tensor:
    """The low-resolution version of images: (batch, 3, height / factor, width / factor).

    Antialiased bicubic, clamped to [-1, 1] as pictures are (not rounded to 8 bits).
    """
    height, width = image.shape[-2:]
    return shrink_to(image, (height // factor, width // factor))


def condition_image(low_resolution: Tensor, factor: int, kernel: Kernel) -> Tensor:
    """The low-resolution image upsampled by the fixed training factor, whatever the output's scale."""
    height, width = low_resolution.shape[-2:]
    return resize(low_resolution, (height * factor, width * factor), kernel)


def base_image(low_resolution: Tensor, size: Size) -> Tensor:
    """What a residual decoder adds to: the low-resolution image, bicubic, at the output's size."""
    return resize(low_resolution, size, BASE_KERNEL)
