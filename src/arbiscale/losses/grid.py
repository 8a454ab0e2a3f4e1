"""The grid loss: what a drawing has at the latent grid's period and not at neighbouring ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from arbiscale.imaging.coordinates import Region, Size

_NEIGHBOURS = (2, 3, 4, 5)  # in bins: a Hann window spreads a peak to the bins at distance 1
_ROUNDING_VARIANCE = (2 / 255) ** 2 / 12  # of 8-bit pixels in [-1, 1]: fainter than that cannot be seen


def grid_loss(drawn: Tensor, latent_size: Size, size: Size, region: Region) -> Tensor:
    """Amplitude at the latent grid's frequency and its harmonics beyond that of their neighbours.

    One function draws every latent pixel, which tempts it to repeat a pattern in each; pixel losses hardly
    see it, and LPIPS may even like it. It stands out of the spectrum at n, 2n, ... cycles for n latent
    pixels. What the neighbouring frequencies have as well is texture and costs nothing; nor does what
    drowns in the rounding to 8 bits, without which a decoder that draws nothing yet would never begin.

    Args:
        drawn: shape (batch, channels, *region size).
        latent_size: (height, width) of the latent.
        size: (height, width) of the whole output.
        region: (top, left, height, width) of the part that was drawn.

    Returns:
        Sum of the amplitudes over axes and harmonics up to the Nyquist frequency, shape (batch,).
    """
    loss = drawn.new_zeros(len(drawn))
    for axis, lines in enumerate((drawn.transpose(-1, -2), drawn)):  # the axis in question comes last
        length, grid = region[axis + 2], latent_size[axis] / size[axis]  # cycles per pixel
        distances = [bins for bins in _NEIGHBOURS if bins <= length * grid - 2]  # of this peak alone
        if not distances:
            continue
        offsets = [0, *distances, *(-bins for bins in distances)]
        for harmonic in range(1, int(0.5 / grid) + 1):
            frequencies = [harmonic * grid + bins / length for bins in offsets]
            amplitude = _amplitudes(lines, frequencies)  # (batch, 1 + neighbours)
            expected = amplitude[:, 1:].detach().log().mean(1).exp()
            loss = loss + functional.relu(amplitude[:, 0] - expected)
    return loss


def _amplitudes(lines: Tensor, frequencies: list[float]) -> Tensor:
    """Half the amplitude of waves along the last axis, root mean square over lines: (batch, frequencies)."""
    length = lines.shape[-1]
    position = torch.arange(length, device=lines.device, dtype=lines.dtype)
    angle = 2 * math.pi * position[:, None] * lines.new_tensor(frequencies)  # (length, frequencies)
    window = torch.hann_window(length, device=lines.device, dtype=lines.dtype)[:, None] * (2 / length)
    power = (lines @ (window * angle.cos())).square() + (lines @ (window * angle.sin())).square()
    rounding = _ROUNDING_VARIANCE * window.square().sum()
    return (power.flatten(1, -2).mean(1) + rounding).sqrt()
