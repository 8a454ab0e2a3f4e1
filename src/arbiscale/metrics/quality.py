"""Fidelity to a reference: PSNR and SSIM, one value per image."""

from __future__ import annotations

import torch
from torch import Tensor

SSIM_WINDOW_PX = 11  # Gaussian, sigma 1.5 (Wang et al., IEEE TIP 2004)
HIGHEST_PSNR_DB = 100.0  # of equal images, in place of infinity, which neither JSON nor a mean can hold


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over all channels, in dB, at most 100.

    Args:
        images: shape (batch, channels, height, width), in [0, 1].
        references: of the same shape and range.

    Returns:
        Shape (batch,); NaN for an image that holds NaN.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    ratio: Tensor = peak_signal_noise_ratio(
        images, references, data_range=1.0, dim=(1, 2, 3), reduction="none"
    )
    return ratio.clamp(max=HIGHEST_PSNR_DB)


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Structural similarity over the pixels whose whole 11 x 11 Gaussian window lies inside the image.

    Args:
        images: shape (batch, channels, height, width), in [0, 1].
        references: of the same shape and range.

    Returns:
        Shape (batch,), 1 for equal images; NaN for images smaller than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(images.shape[-2:]) < SSIM_WINDOW_PX:
        return images.new_full((images.shape[0],), torch.nan)
    _, similarity = structural_similarity_index_measure(
        images, references, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    border = SSIM_WINDOW_PX // 2
    inside: Tensor = similarity[..., border:-border, border:-border]
    return inside.mean(dim=(1, 2, 3))
