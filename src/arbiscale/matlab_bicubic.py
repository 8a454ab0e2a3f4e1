"""MATLAB's `imresize(image, size, 'bicubic')`, in which the benchmarks of the field are made.

It is Keys' kernel with a = -1/2, widened when shrinking, as PIL's (`arbiscale.resize`); they differ at the
border, which PIL leaves out. Here it is repeated, as by the MATLAB that made the published low resolutions of
Set5, which this equals to the bit; later versions mirror it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbiscale.coordinates import Size

_SHARPNESS = -0.5
_SUPPORT = 4  # width of the kernel, in input pixels


def matlab_bicubic(images: Tensor, size: Size) -> Tensor:
    """Resize 8-bit images as MATLAB does: first the axis that shrinks most, each axis rounded to 8 bits.

    Args:
        images: uint8 (batch, channels, height, width).
        size: (height, width) of the result.

    Returns:
        uint8 (batch, channels, *size).
    """
    if images.dtype != torch.uint8:
        raise ValueError(f"expected uint8 images, got {images.dtype}")
    axes = sorted((-2, -1), key=lambda axis: size[axis] / images.shape[axis])
    for axis in axes:
        images = _resize_axis(images, axis, size[axis])
    return images


def _resize_axis(images: Tensor, axis: int, outputs: int) -> Tensor:
    """One axis at its new length, in 8 bits."""
    inputs = images.shape[axis]
    if inputs == outputs:
        return images
    lines = images.movedim(axis, -1).double() @ _weights(inputs, outputs).to(images.device)  # (..., outputs)
    rounded = (lines + 0.5).floor().clamp(0, 255).to(torch.uint8)  # halves away from zero, as MATLAB does
    return rounded.movedim(-1, axis)


def _weights(inputs: int, outputs: int) -> Tensor:
    """What every input pixel gives to every output pixel, (inputs, outputs)."""
    scale = outputs / inputs
    stretch = max(1.0, 1 / scale)  # antialiasing
    centre = (torch.arange(outputs, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centre - _SUPPORT * stretch / 2).floor()
    position = first + torch.arange(math.ceil(_SUPPORT * stretch) + 2)[:, None]  # (taps, outputs)
    weight = _keys((centre - position) / stretch)
    pixel = position.long().clamp(0, inputs - 1)  # repeats the border
    matrix = weight.new_zeros(inputs, outputs)
    return matrix.scatter_add_(0, pixel, weight / weight.sum(0))


def _keys(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (IEEE TASSP 1981, equation 4 with a = -1/2)."""
    a, x = _SHARPNESS, distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))
