"""The grid loss: structure that a drawing has at the latent grid's period and the target has not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbiscale.coordinates import Region, Size

_FLOOR = 1e-12  # keeps the square root's gradient finite


def grid_loss(error: Tensor, latent_size: Size, size: Size, region: Region) -> Tensor:
    """Amplitude of the error at the latent grid's frequency and its harmonics, along rows and columns.

    One function draws every latent pixel, which tempts it to repeat a pattern in each; pixel losses hardly
    see it, and LPIPS may even like it. Its energy stands at n, 2n, ... cycles for n latent pixels.

    Args:
        error: drawn minus target, shape (batch, channels, *region size).
        latent_size: (height, width) of the latent.
        size: (height, width) of the whole output.
        region: (top, left, height, width) of the part that `error` covers.

    Returns:
        Sum of the amplitudes over axes and harmonics up to the Nyquist frequency, shape (batch,).
    """
    loss = error.new_zeros(len(error))
    for axis, lines in enumerate((error.transpose(-1, -2), error)):  # the axis in question comes last
        start, count = region[axis], region[axis + 2]
        position = torch.arange(start, start + count, device=error.device) + 0.5
        for harmonic in range(1, size[axis] // (2 * latent_size[axis]) + 1):
            angle = position * (2 * math.pi * harmonic * latent_size[axis] / size[axis])
            cosine, sine = (lines * angle.cos()).mean(-1), (lines * angle.sin()).mean(-1)
            power = (cosine.square() + sine.square()).flatten(1).mean(1)  # (batch,)
            loss = loss + (power + _FLOOR).sqrt()
    return loss
