"""Resizing kernels written out: MATLAB's bicubic, and PIL's for any region of an output."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.resize import Kernel

_SHARPNESS = -0.5  # a of Keys' kernel, for MATLAB's and for PIL's bicubic
_MATLAB_WIDTH = 4  # of MATLAB's kernel, in input pixels
_PIL_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}  # half the width of PIL's kernels, in input pixels


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
    """The weight of each input pixel in each output pixel, (inputs, outputs)."""
    scale = outputs / inputs
    stretch = max(1.0, 1 / scale)  # antialiasing
    centre = (torch.arange(outputs, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centre - _MATLAB_WIDTH * stretch / 2).floor()
    position = first + torch.arange(math.ceil(_MATLAB_WIDTH * stretch) + 2)[:, None]  # (taps, outputs)
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


def resize_region(image: Tensor, size: Size, region: Region, kernel: Kernel = "bicubic") -> Tensor:
    """The region of what `arbiscale.imaging.resize.resize` makes of an image.

    The order of summation of a pixel does not depend on the region, so its value is the same to the bit in
    any region. It differs from the whole resized at once by rounding only (1e-6).

    Args:
        image: shape (batch, channels, height, width).
        size: (height, width) of the whole output.
        region: (top, left, height, width) of the part wanted.
        kernel: nearest, bilinear or bicubic; widened when shrinking (antialiasing).

    Returns:
        Shape (batch, channels, *region size), not clamped.
    """
    top, left, height, width = region
    rows, row_weights = _taps(size[0], image.shape[-2], top, height, kernel)
    columns, column_weights = _taps(size[1], image.shape[-1], left, width, kernel)
    first = int(rows.min())
    image = image[..., first : int(rows.max()) + 1, :]
    across = sum(
        image.index_select(-1, index.to(image.device)) * weight.to(image)
        for index, weight in zip(columns, column_weights, strict=True)
    )
    assert isinstance(across, Tensor)  # (batch, channels, rows read, width)
    down = sum(
        across.index_select(-2, (index - first).to(image.device)) * weight.to(image)[:, None]
        for index, weight in zip(rows, row_weights, strict=True)
    )
    assert isinstance(down, Tensor)
    return down


def _taps(outputs: int, inputs: int, start: int, count: int, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Input pixels and their weights for outputs `start` to `start + count`, each (taps, count)."""
    scale = inputs / outputs
    centre = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) * scale
    if kernel == "nearest" or inputs == outputs:
        return centre.long().clamp(max=inputs - 1)[None], torch.ones(1, count)
    width = max(scale, 1.0)
    support = _PIL_SUPPORT[kernel] * width
    low = (centre - support + 0.5).long().clamp(min=0)
    high = (centre + support + 0.5).long().clamp(max=inputs)
    index = low + torch.arange(int((high - low).max()))[:, None]
    distance = (index + 0.5 - centre) / width
    weight = _keys(distance) if kernel == "bicubic" else (1 - distance.abs()).clamp(min=0)
    weight = torch.where(index < high, weight, 0.0)
    return index.clamp(max=inputs - 1), (weight / weight.sum(0)).float()
