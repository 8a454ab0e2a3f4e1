"""Diversity over seeds against closed forms."""

from __future__ import annotations

import pytest
import torch

from arbiscale.metrics.diversity import pairwise_distance, pixel_deviation


def test_equal_draws_have_none() -> None:
    draws = [torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))] * 3
    assert pixel_deviation(draws).tolist() == [0, 0]
    assert pairwise_distance(draws, lambda a, b: (a - b).abs().mean(dim=(1, 2, 3))).tolist() == [0, 0]


def test_two_levels_apart_deviate_by_their_closed_form_in_8_bit_levels() -> None:
    levels = torch.tensor([10.0, 13.0, 16.0]) / 255
    draws = [level.expand(1, 3, 4, 4) for level in levels]
    assert pixel_deviation(draws).tolist() == pytest.approx([3.0], abs=1e-4)
    assert pixel_deviation(draws[:2]).tolist() == pytest.approx([3 / 2**0.5], abs=1e-4)


def test_noise_has_its_deviation_and_each_picture_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    strengths = torch.tensor([0.01, 0.02])[:, None, None, None]
    draws = [0.5 + strengths * torch.randn(2, 3, 32, 32, generator=generator) for _ in range(20)]
    assert pixel_deviation(draws).tolist() == pytest.approx([2.55, 5.1], rel=0.02)


def test_all_pairs_count_once() -> None:
    draws = [torch.full((1, 1, 2, 2), float(value)) for value in (0, 1, 3)]
    distances = pairwise_distance(draws, lambda a, b: (a - b).abs().mean(dim=(1, 2, 3)))
    assert distances.tolist() == pytest.approx([(1 + 3 + 2) / 3])
