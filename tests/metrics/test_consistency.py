"""Consistency: a re-downscaled output against the input."""

from __future__ import annotations

import pytest
import torch

from arbiscale.metrics.consistency import consistency


def test_a_constant_shift_of_the_output_has_its_closed_form() -> None:
    low_resolution = torch.full((2, 3, 6, 8), 0.5)
    images = torch.full((2, 3, 16, 21), 0.5) + torch.tensor([0.0, 0.1])[:, None, None, None]
    assert consistency(images, low_resolution).tolist() == pytest.approx([100.0, 20.0], abs=1e-3)


def test_detail_finer_than_the_input_costs_nothing_but_a_shifted_picture_does() -> None:
    low_resolution = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    images = low_resolution.repeat_interleave(8, -1).repeat_interleave(8, -2)
    checkerboard = (torch.arange(96)[:, None] + torch.arange(96)) % 2 * 0.2 - 0.1
    plain = consistency(images, low_resolution)
    assert consistency(images + checkerboard, low_resolution) == pytest.approx(plain.item(), abs=0.1)
    assert consistency(images.roll(8, -1), low_resolution) < plain - 5
