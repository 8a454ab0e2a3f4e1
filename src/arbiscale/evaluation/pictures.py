"""Pictures as they are shown, and the measures that compare them with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
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


class Truth:
    """Pictures that rows are compared with; what networks see in them is computed once.

    Args:
        images: shape (batch, 3, height, width), in [0, 1], as shown.
        networks: behind perceptual distances and scores, always of RGB; NaN where they take no such image.
        channels: what PSNR and SSIM compare.
        shave_px: border left out of these comparisons.
    """

    def __init__(
        self,
        images: Tensor,
        networks: MetricNetworks,
        *,
        channels: Literal["rgb", "y"] = "rgb",
        shave_px: int = 0,
    ) -> None:
        self.images, self._networks = images, networks
        self._channels, self._shave_px = channels, shave_px
        own = self._shaved(images)
        self._seen = {column: [*features] for column, features in networks.features(own).items()}
        self._shown = own if channels == "rgb" else luma(own)

    def compare(self, images: Tensor) -> dict[str, Tensor]:
        """PSNR, SSIM, perceptual distances and no-reference scores of as many images, as shown, (batch,)."""
        own = self._shaved(images)
        pair = (own if self._channels == "rgb" else luma(own), self._shown)
        seen = self._networks.distances(own, self._seen) | self._networks.judge(own)
        return {"psnr": psnr(*pair), "ssim": ssim(*pair), **seen}

    def _shaved(self, images: Tensor) -> Tensor:
        """The images without a border."""
        height, width = images.shape[-2:]
        border_px = self._shave_px
        return images[..., border_px : height - border_px, border_px : width - border_px]


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
    network = networks.perceptual.get("lpips")
    seen = [[*networks.features(draw).get("lpips", ())] for draw in draws]
    unknown = truth.new_full((len(truth),), torch.nan)
    return {
        "diversity_lpips": pairwise_distance(seen, network.distance) if network and seen[0] else unknown,
        "diversity_std": pixel_deviation(draws),
        "calibration": calibration(draws, truth),
    }


def agreement_with_half_size(images: Tensor, draw: Draw) -> Tensor:
    """SelfSSIM between images as shown and the same latents drawn at half their size, shape (batch,)."""
    height, width = images.shape[-2:]
    return self_similarity(images, as_shown(draw((max(1, height // 2), max(1, width // 2)))))
