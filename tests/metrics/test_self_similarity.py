"""SelfSSIM: outputs of one latent at two sizes."""

from __future__ import annotations

import pytest
import torch

from arbiscale.imaging.resize import resize
from arbiscale.metrics.quality import ssim
from arbiscale.metrics.self_similarity import self_similarity


def test_compares_at_the_lower_size_whichever_comes_first() -> None:
    generator = torch.Generator().manual_seed(0)
    large, small = (
        torch.rand(2, 3, 40, 60, generator=generator),
        torch.rand(2, 3, 20, 15, generator=generator),
    )
    expected = ssim(resize(large, (20, 15)).clamp(0, 1), small)
    assert torch.equal(self_similarity(large, small), expected)
    assert torch.equal(self_similarity(small, large), expected)


def test_a_downscaled_copy_is_itself_and_another_picture_is_not() -> None:
    large = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    small = resize(large, (32, 32)).clamp(0, 1)
    assert self_similarity(large, small).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert self_similarity(large, small.flip(0)).max() < 0.5
