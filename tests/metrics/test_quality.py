"""PSNR and SSIM against closed forms and scikit-image."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from arbiscale.metrics.quality import psnr, ssim


def noisy_pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, 3, 24, 40, generator=generator)
    strength = torch.tensor([0.05, 0.2])[:, None, None, None]
    return (reference + strength * torch.randn(reference.shape, generator=generator)).clamp(0, 1), reference


def test_psnr_of_a_constant_error_has_its_closed_form_per_image() -> None:
    reference = torch.full((2, 3, 8, 9), 0.5)
    images = reference + torch.tensor([0.1, 0.01])[:, None, None, None]
    assert psnr(images, reference).tolist() == pytest.approx([20.0, 40.0], abs=1e-4)


def test_psnr_of_equal_images_is_finite_and_nan_stays_nan() -> None:
    image = torch.rand(2, 3, 8, 8)
    broken = image.clone()
    broken[1, 0, 0, 0] = torch.nan
    values = psnr(broken, image)
    assert values[0] == 100
    assert math.isnan(values[1])


def test_ssim_equals_an_independent_implementation() -> None:
    images, references = noisy_pair()
    expected = [
        structural_similarity(
            reference.permute(1, 2, 0).numpy(),
            image.permute(1, 2, 0).numpy(),
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for image, reference in zip(images, references, strict=True)
    ]
    assert ssim(images, references).tolist() == pytest.approx(expected, abs=1e-4)


def test_ssim_of_two_constants_is_the_luminance_term() -> None:
    dark, bright = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    constant = 0.01**2
    expected = (2 * 0.2 * 0.6 + constant) / (0.2**2 + 0.6**2 + constant)
    assert ssim(dark, bright).item() == pytest.approx(expected, abs=1e-4)


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    assert ssim(torch.rand(2, 3, 10, 30), torch.rand(2, 3, 10, 30)).isnan().tolist() == [True, True]
    assert ssim(torch.ones(1, 3, 11, 11), torch.ones(1, 3, 11, 11)).item() == pytest.approx(1)
