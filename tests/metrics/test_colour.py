"""Luma and colour shift against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from arbiscale.metrics.colour import colour_shift, luma


def test_luma_equals_an_independent_implementation() -> None:
    images = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = rgb2ycbcr(images.permute(0, 2, 3, 1).numpy())[..., 0]
    assert np.allclose(luma(images)[:, 0].numpy() * 255, expected, atol=1e-3)


def test_luma_runs_from_16_to_235() -> None:
    black, white = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    assert (luma(black).item() * 255, luma(white).item() * 255) == pytest.approx((16, 235), abs=1e-4)


def test_colour_shift_is_the_distance_of_the_mean_colours() -> None:
    references = torch.rand(2, 3, 8, 8) * 0.5
    shift = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])[..., None, None] / 255
    noise = torch.randn(2, 3, 8, 8) * 0.01
    noise -= noise.mean(dim=(2, 3), keepdim=True)
    assert colour_shift(references + shift + noise, references).tolist() == pytest.approx([5, 0], abs=1e-3)
