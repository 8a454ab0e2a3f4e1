"""Grid artefacts: energy at the latent grid's period, compared with neighbouring frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.spectrum import NEIGHBOUR_BINS, geometric_mean, wave_power


def grid_energy(images: Tensor, latent_size: Size) -> Tensor:
    """How far the power spectrum rises at the frequencies of the grid an image was decoded from.

    The power spectra of the rows (then of the columns) are averaged over rows and channels. Their energy at
    the latent's number of pixels and its harmonics below half the sampling rate is divided by the energy
    expected there, the geometric mean of the bins around each. The result is the mean of both axes. White
    noise as strong as that of rounding to 8 bits is added to every bin, so that grids too faint to be seen
    do not count; the images themselves are best not rounded, as rounding a smooth picture makes a grid.

    Args:
        images: shape (batch, channels, height, width), in [0, 1].
        latent_size: (height, width) of the latent.

    Returns:
        Shape (batch,): 1 without a grid, above 1 with one, below 1 where these frequencies are missing
        (as in sharp bicubic images, whose kernel is zero there). NaN where the grid's period is 2 px or less,
        or so long that its peaks are each other's neighbours.
    """
    height, width = latent_size
    axes = torch.stack([_peak_ratio(images, width), _peak_ratio(images.mT, height)])
    return axes.nanmean(dim=0).float()


def _peak_ratio(images: Tensor, grid_px: int) -> Tensor:
    """Energy at the grid's frequencies along the last axis over the energy expected, shape (batch,)."""
    length_px = images.shape[-1]
    lines = images.cpu().double()  # MPS has no double
    highest = (length_px - 1) // 2
    harmonics = range(grid_px, highest + 1, grid_px)
    bins = []
    for harmonic in harmonics:
        neighbours = [
            frequency
            for distance in NEIGHBOUR_BINS
            for frequency in (harmonic - distance, harmonic + distance)
            if 1 < frequency <= highest and all(abs(frequency - other) > 1 for other in harmonics)
        ]
        if neighbours:
            bins.append([harmonic, *neighbours])
    frequencies = [cycles / length_px for own in bins for cycles in own]
    power = wave_power(lines, frequencies, value_range=1)  # (batch, all bins)
    peaks = power.split([len(own) for own in bins], dim=1)
    found = sum((own[:, 0] for own in peaks), start=lines.new_zeros(len(lines)))
    expected = sum((geometric_mean(own[:, 1:]) for own in peaks), start=lines.new_zeros(len(lines)))
    return found / expected
