"""The spectrum at the frequencies of a latent grid, as the grid loss and the grid energy see it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NEIGHBOUR_BINS = (2, 3, 4, 5)  # distances to a peak, which a Hann window spreads to the bins at distance 1


def wave_power(lines: Tensor, frequencies: Sequence[float], value_range: float) -> Tensor:
    """A quarter of the squared amplitude of waves along the last axis, averaged over the lines.

    White noise as strong as that of rounding to 8 bits is added, so that what is too faint to be seen
    does not count.

    Args:
        lines: shape (batch, ..., length).
        frequencies: in cycles per pixel.
        value_range: of the lines: 2 where they lie in [-1, 1].

    Returns:
        Shape (batch, frequencies).
    """
    length = lines.shape[-1]
    position = torch.arange(length, device=lines.device, dtype=lines.dtype)
    angle = 2 * math.pi * position[:, None] * lines.new_tensor(frequencies)  # (length, frequencies)
    window = torch.hann_window(length, device=lines.device, dtype=lines.dtype)[:, None] * (2 / length)
    power = (lines @ (window * angle.cos())).square() + (lines @ (window * angle.sin())).square()
    rounding = (value_range / 255) ** 2 / 12 * window.square().sum()
    return power.flatten(1, -2).mean(1) + rounding


def geometric_mean(values: Tensor) -> Tensor:
    """The geometric mean of each row (batch, count), shape (batch,): what neighbours let expect of a peak."""
    return values.log().mean(1).exp()
