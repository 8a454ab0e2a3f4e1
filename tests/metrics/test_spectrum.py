"""Grid energy: 1 for noise and photographs, more where a grid was added, however faint."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from arbiscale.metrics.spectrum import grid_energy

SIDE_PX = 256


def noise(exponent: float, count: int = 16) -> Tensor:
    """Gaussian noise with amplitude 1 / frequency^exponent and a standard deviation of 0.2."""
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft2(torch.randn(count, 3, SIDE_PX, SIDE_PX, generator=generator))
    rows, columns = torch.fft.fftfreq(SIDE_PX)[:, None], torch.fft.rfftfreq(SIDE_PX)[None]
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / SIDE_PX)
    image = torch.fft.irfft2(spectrum / frequency**exponent, s=(SIDE_PX, SIDE_PX))
    return image / image.std() * 0.2


def photographs() -> Tensor:
    crops = [
        picture[top : top + SIDE_PX, left : left + SIDE_PX]
        for picture in (data.astronaut(), data.coffee(), data.chelsea())
        for top, left in ((0, 0), (40, 140))
    ]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def grid(latent_px: int, amplitude: float, axis: int = -1) -> Tensor:
    wave = amplitude * torch.cos(2 * math.pi * latent_px * torch.arange(SIDE_PX) / SIDE_PX)
    return wave.view([-1, 1] if axis == -2 else [1, -1])


@pytest.mark.parametrize("latent_px", [95, 64, 43, 32])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_of_any_colour_has_no_grid(latent_px: int, exponent: float) -> None:
    energy = grid_energy(noise(exponent), (latent_px, latent_px))
    assert energy.shape == (16,)
    assert energy.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("latent_px", [95, 64, 43, 32])
def test_photographs_have_no_grid_until_one_of_one_grey_level_is_added(latent_px: int) -> None:
    images, size = photographs(), (latent_px, latent_px)
    assert grid_energy(images, size).mean().item() == pytest.approx(1, abs=0.1)
    pattern = grid(latent_px, 1.5 / 255) + grid(latent_px, 1.5 / 255, axis=-2)
    assert grid_energy(images + pattern, size).mean() > 1.15


def test_the_energy_of_a_grid_in_white_noise_has_its_closed_form() -> None:
    # Under a Hann window w of n samples a cosine of amplitude a has the energy (a/2 sum w)^2 = (a n / 4)^2,
    # white noise of deviation s has s^2 sum w^2 = 3/8 s^2 n.
    amplitude, deviation = 0.05, 0.2
    one_axis = (amplitude * SIDE_PX / 4) ** 2 / (3 / 8 * deviation**2 * SIDE_PX)
    energy = grid_energy(noise(0.0) + grid(95, amplitude), (95, 95)).mean().item()
    assert energy == pytest.approx(1 + one_axis / 2, rel=0.1)  # rows have it, columns do not


def test_each_axis_is_read_at_its_own_side_of_the_latent() -> None:
    images = noise(1.0) + grid(64, 0.05, axis=-2)
    assert grid_energy(images, (64, 43)).mean() > 2
    assert grid_energy(images, (43, 64)).mean().item() == pytest.approx(1, abs=0.1)


def test_harmonics_count() -> None:
    assert grid_energy(noise(1.0) + grid(96, 0.05), (32, 32)).mean() > 1.1


def test_a_grid_too_fine_or_too_coarse_to_tell_has_no_value_and_a_flat_image_no_grid() -> None:
    assert grid_energy(torch.rand(2, 3, 64, 64), (32, 32)).isnan().all()
    assert grid_energy(torch.rand(2, 3, 64, 64), (2, 2)).isnan().all()
    assert grid_energy(torch.full((2, 3, 64, 64), 0.5), (16, 16)).tolist() == [1, 1]
