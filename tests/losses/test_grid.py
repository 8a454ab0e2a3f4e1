"""The grid loss sees what stands out at the latent grid's period, and nothing else.

Tolerances are what drowns in the rounding to 8 bits.
"""

import math

import pytest
import torch
from torch import Tensor

from arbiscale.losses.grid import grid_loss

LATENT, SIZE = (24, 16), (96, 64)
WHOLE = (0, 0, *SIZE)


def stripes(cycles: float, amplitude: float = 0.1) -> Tensor:
    """A picture that oscillates along rows, shape (1, 3, 96, 64)."""
    position = (torch.arange(SIZE[1]) + 0.5) / SIZE[1]
    return (amplitude * torch.cos(2 * math.pi * cycles * position + 0.3)).expand(1, 3, *SIZE)


def loss(picture: Tensor) -> float:
    return grid_loss(picture, LATENT, SIZE, WHOLE).item()


def test_a_pattern_at_the_grid_costs_half_its_amplitude() -> None:
    assert loss(stripes(LATENT[1])) == pytest.approx(0.05, abs=6e-4)


def test_harmonics_are_patterns_of_the_grid_too() -> None:
    alternating = stripes(2 * LATENT[1])  # at the Nyquist frequency: every other pixel
    assert loss(alternating) == pytest.approx(alternating.max().item(), abs=6e-4)


def test_the_harmonic_at_the_nyquist_frequency_counts_at_every_scale() -> None:
    """Half of 1488 / 8, divided in floating point, is less than 93."""
    alternating = torch.tensor([0.1, -0.1]).repeat(744).expand(1, 3, 4, -1)
    assert grid_loss(alternating, (8, 8), (1488, 1488), (0, 0, 4, 1488)).item() == pytest.approx(
        0.1, abs=6e-4
    )


@pytest.mark.parametrize("cycles", [0, 1, 7, 13, 19, 25])
def test_other_waves_are_none_of_its_business(cycles: int) -> None:
    assert loss(stripes(cycles)) == pytest.approx(0, abs=1e-4)


def test_what_the_neighbouring_frequencies_have_as_well_is_texture() -> None:
    texture = torch.cat([stripes(LATENT[1] + bins) for bins in (-4, -2, 0, 2, 4)]).sum(0, keepdim=True)
    assert loss(texture) < 0.2 * loss(stripes(LATENT[1]))


def test_a_faint_pattern_costs_more_than_strong_noise() -> None:
    noise = 0.1 * torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    assert loss(noise + stripes(LATENT[1], 0.05)) > 5 * loss(noise)


def test_columns_count_as_rows_do() -> None:
    turned = stripes(LATENT[1]).transpose(-1, -2)
    turned_loss = grid_loss(turned, LATENT[::-1], SIZE[::-1], (0, 0, *SIZE[::-1]))
    assert turned_loss.item() == pytest.approx(0.05, abs=6e-4)


def test_a_region_sees_the_pattern_too() -> None:
    part = stripes(LATENT[1])[..., 7:71, 9:41]
    assert grid_loss(part, LATENT, SIZE, (7, 9, 64, 32)).item() == pytest.approx(0.05, abs=6e-4)


def test_every_sample_has_its_own() -> None:
    pair = torch.cat([stripes(LATENT[1]), torch.zeros(1, 3, *SIZE)])
    assert grid_loss(pair, LATENT, SIZE, WHOLE) == pytest.approx(torch.tensor([0.05, 0.0]), abs=6e-4)


def test_its_gradient_lowers_the_pattern_and_raises_nothing_beside_it() -> None:
    waves = [stripes(LATENT[1]), stripes(LATENT[1] + 3, 0.05)]
    strengths = torch.ones(2, requires_grad=True)
    picture = strengths[0] * waves[0] + strengths[1] * waves[1]
    grid_loss(picture, LATENT, SIZE, WHOLE).sum().backward()
    assert strengths.grad is not None
    assert strengths.grad[0] > 0.04
    assert strengths.grad[1].abs() < 1e-4


def test_nothing_drawn_has_a_finite_gradient() -> None:
    picture = torch.zeros(1, 3, *SIZE, requires_grad=True)
    grid_loss(picture, LATENT, SIZE, WHOLE).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()


def test_what_is_too_faint_to_be_seen_costs_next_to_nothing() -> None:
    visible = 1 / 255
    assert loss(stripes(LATENT[1], 0.1 * visible)) < 0.2 * 0.1 * visible
    assert loss(stripes(LATENT[1], 4 * visible)) > 0.4 * 4 * visible


@pytest.mark.parametrize(("latent", "size"), [((8, 6), (8, 6)), ((2, 2), (4, 4))])
def test_where_no_frequency_has_neighbours_of_its_own_there_is_nothing_to_see(
    latent: tuple[int, int], size: tuple[int, int]
) -> None:
    picture = torch.rand(1, 3, *size)
    assert grid_loss(picture, latent, size, (0, 0, *size)).item() == 0


def test_autocast_changes_neither_value_nor_gradient() -> None:
    picture = (0.4 * stripes(1) + stripes(LATENT[1], 0.01)).requires_grad_()
    value = grid_loss(picture, LATENT, SIZE, WHOLE)
    (gradient,) = torch.autograd.grad(value.sum(), picture)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_value = grid_loss(picture, LATENT, SIZE, WHOLE)
    (mixed_gradient,) = torch.autograd.grad(mixed_value.sum(), picture)
    assert torch.equal(mixed_value, value)
    assert torch.equal(mixed_gradient, gradient)
