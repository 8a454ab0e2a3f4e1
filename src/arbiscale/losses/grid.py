"""The grid loss: what a drawing has at the latent grid's period and not at neighbouring ones."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.spectrum import NEIGHBOUR_BINS, geometric_mean, wave_power
from arbiscale.losses.reduction import in_float32


@in_float32
def grid_loss(drawn: Tensor, latent_size: Size, size: Size, region: Region) -> Tensor:
    """Amplitude at the latent grid's frequency and its harmonics beyond that of their neighbours.

    One function draws every latent pixel, so it tends to repeat a pattern in each; pixel losses hardly see
    the pattern, and LPIPS may even reward it. It stands out of the spectrum at n, 2n, ... cycles for n
    latent pixels. What the neighbouring frequencies have as well is texture and costs nothing. Nor does
    what is lost in the rounding to 8 bits: otherwise a decoder that draws nothing yet would stay there.

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
        distances = [bins for bins in NEIGHBOUR_BINS if bins <= length * grid - 2]  # of this peak alone
        if not distances:
            continue
        offsets = [0, *distances, *(-bins for bins in distances)]
        for harmonic in range(1, size[axis] // (2 * latent_size[axis]) + 1):
            frequencies = [harmonic * grid + bins / length for bins in offsets]
            amplitude = wave_power(lines, frequencies, value_range=2).sqrt()  # (batch, 1 + neighbours)
            expected = geometric_mean(amplitude[:, 1:].detach())
            loss = loss + functional.relu(amplitude[:, 0] - expected)
    return loss
