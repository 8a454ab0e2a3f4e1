"""Pictures as they are shown, and the measures that compare them with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from torch import Tensor

from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.imaging.coordinates import Size
from arbiscale.metrics.colour import luma
from arbiscale.metrics.diversity import calibration, pairwise_distance, pixel_deviation
from arbiscale.metrics.quality import psnr, ssim
from arbiscale.metrics.self_similarity import self_similarity

Draw = Callable[[Size], Tensor]  # pictures (batch, 3, *size) in [-1, 1], drawn again at any size


def as_shown(images: Tensor) -> Tensor:
    """Images in [-1, 1] as an 8-bit file holds them, in [0, 1]; NaN stays NaN."""
    return images.clamp(-1, 1).add(1).mul(127.5).round().div(255)


def compare(
    images: Tensor,
    truth: Tensor,
    networks: MetricNetworks,
    *,
    channels: Literal["rgb", "y"] = "rgb",
    shave_px: int = 0,
) -> dict[str, Tensor]:
    """PSNR, SSIM and perceptual distances of images (batch, 3, height, width) in [0, 1] from the truth.

    Args:
        images: as shown.
        truth: of the same shape.
        networks: behind the perceptual distances, always of RGB; NaN where they take no such image.
        channels: what PSNR and SSIM compare.
        shave_px: border left out.

    Returns:
        By metric, shape (batch,).
    """
    images, truth = (_shaved(pictures, shave_px) for pictures in (images, truth))
    pair = (images, truth) if channels == "rgb" else (luma(images), luma(truth))
    return {"psnr": psnr(*pair), "ssim": ssim(*pair), **networks.distances(images, truth)}


def diversity(draws: Sequence[Tensor], truth: Tensor, networks: MetricNetworks) -> dict[str, Tensor]:
    """How much pictures drawn with different noise differ, and whether they do where they err.

    Args:
        draws: two or more, as shown, each of shape (batch, 3, height, width).
        truth: of the same shape.
        networks: behind the distance; NaN where it takes no such picture.

    Returns:
        By metric, shape (batch,): mean LPIPS over pairs, deviation of a pixel, and the rank correlation of
        that deviation with the first draw's error.
    """
    return {
        "diversity_lpips": pairwise_distance(draws, partial(networks.distance, "lpips")),
        "diversity_std": pixel_deviation(draws),
        "calibration": calibration(draws, truth),
    }


def _shaved(images: Tensor, border_px: int) -> Tensor:
    """The images without a border."""
    height, width = images.shape[-2:]
    return images[..., border_px : height - border_px, border_px : width - border_px]


def agreement_with_half_size(images: Tensor, draw: Draw) -> Tensor:
    """SelfSSIM between images as shown and the same latents drawn at half their size, shape (batch,)."""
    height, width = images.shape[-2:]
    return self_similarity(images, as_shown(draw((max(1, height // 2), max(1, width // 2)))))
