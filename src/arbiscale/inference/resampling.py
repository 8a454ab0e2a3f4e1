"""PIL's kernels for a region of the output: any part of a resized image without the rest of it."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.coordinates import Region, Size
from arbiscale.resize import Kernel

_SHARPNESS = -0.5  # a of PIL's bicubic kernel
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}  # of the kernels, in input pixels


def resize_region(image: Tensor, size: Size, region: Region, kernel: Kernel = "bicubic") -> Tensor:
    """The region of what `arbiscale.resize.resize` makes of an image.

    A pixel's value is summed in an order of its own, so it is the same to the bit whatever the region;
    it differs from the whole resized at once by rounding only (1e-6).

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
    support = _SUPPORT[kernel] * width
    low = (centre - support + 0.5).long().clamp(min=0)
    high = (centre + support + 0.5).long().clamp(max=inputs)
    index = low + torch.arange(int((high - low).max()))[:, None]
    distance = (index + 0.5 - centre) / width
    weight = _bicubic(distance) if kernel == "bicubic" else (1 - distance.abs()).clamp(min=0)
    weight = torch.where(index < high, weight, 0.0)
    return index.clamp(max=inputs - 1), (weight / weight.sum(0)).float()


def _bicubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (1981, equation 4 with a = -1/2)."""
    a, x = _SHARPNESS, distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
