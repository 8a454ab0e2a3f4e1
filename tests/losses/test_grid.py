"""The grid loss sees a pattern at the latent grid's period, and nothing else."""

import math

import pytest
import torch

from arbiscale.losses.grid import grid_loss

LATENT, SIZE = (8, 6), (32, 24)
WHOLE = (0, 0, *SIZE)


def stripes(cycles: float, amplitude: float = 0.1) -> torch.Tensor:
    """An error that oscillates along rows, shape (1, 3, 32, 24)."""
    position = (torch.arange(SIZE[1]) + 0.5) / SIZE[1]
    return (amplitude * torch.cos(2 * math.pi * cycles * position + 0.3)).expand(1, 3, *SIZE)


def test_a_pattern_at_the_grid_has_half_its_amplitude() -> None:
    assert grid_loss(stripes(LATENT[1]), LATENT, SIZE, WHOLE).item() == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("cycles", [0, 1, 5, 7, 11])
def test_other_errors_are_none_of_its_business(cycles: int) -> None:
    assert grid_loss(stripes(cycles), LATENT, SIZE, WHOLE).item() == pytest.approx(0, abs=1e-5)


def test_columns_count_as_rows_do() -> None:
    turned = stripes(LATENT[1]).transpose(-1, -2)
    loss = grid_loss(turned, LATENT[::-1], SIZE[::-1], (0, 0, *SIZE[::-1]))
    assert loss.item() == pytest.approx(0.05, abs=1e-5)


def test_a_region_sees_the_pattern_too() -> None:
    region = (4, 8, 16, 12)
    part = stripes(LATENT[1])[..., 4:20, 8:20]
    assert grid_loss(part, LATENT, SIZE, region).item() == pytest.approx(0.05, abs=1e-5)


def test_every_sample_has_its_own() -> None:
    pair = torch.cat([stripes(LATENT[1]), torch.zeros(1, 3, *SIZE)])
    assert grid_loss(pair, LATENT, SIZE, WHOLE) == pytest.approx(torch.tensor([0.05, 0.0]), abs=1e-5)


def test_no_error_has_a_finite_gradient() -> None:
    error = torch.zeros(1, 3, *SIZE, requires_grad=True)
    grid_loss(error, LATENT, SIZE, WHOLE).sum().backward()
    assert error.grad is not None
    assert torch.isfinite(error.grad).all()


def test_magnifications_below_two_have_no_grid_to_see() -> None:
    assert grid_loss(torch.ones(1, 3, 8, 6), (8, 6), (8, 6), (0, 0, 8, 6)).item() == 0
