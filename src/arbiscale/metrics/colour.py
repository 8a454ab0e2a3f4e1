"""Colours: luma, on which the benchmarks of the field are measured, and shifts of the whole image."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (65.481, 128.553, 24.966)  # ITU-R BT.601 in 8 bits, as MATLAB's rgb2ycbcr: 16 to 235
_LUMA_OFFSET = 16.0


def luma(images: Tensor) -> Tensor:
    """The Y of YCbCr (ITU-R BT.601, studio range) over 255, not rounded.

    Args:
        images: shape (batch, 3, height, width), in [0, 1].

    Returns:
        Shape (batch, 1, height, width), from 16 / 255 to 235 / 255.
    """
    weights = images.new_tensor(_LUMA)[:, None, None]
    return ((images * weights).sum(dim=1, keepdim=True) + _LUMA_OFFSET) / 255


def colour_shift(images: Tensor, references: Tensor) -> Tensor:
    """The distance between the mean colours of images and references, in 8-bit levels of RGB.

    Args:
        images: shape (batch, 3, height, width), in [0, 1].
        references: of the same shape and range.

    Returns:
        Shape (batch,), 0 where both have the same mean colour.
    """
    shift = (images - references).mean(dim=(2, 3))  # (batch, 3)
    return torch.linalg.vector_norm(shift, dim=1) * 255
