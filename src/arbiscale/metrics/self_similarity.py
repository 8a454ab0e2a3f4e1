"""SelfSSIM: do outputs of one latent at several sizes show one image (arXiv 2403.10255, section 4)?"""

from __future__ import annotations

from torch import Tensor

from arbiscale.imaging.resize import resize
from arbiscale.metrics.quality import ssim


def self_similarity(images: Tensor, others: Tensor) -> Tensor:
    """SSIM between outputs of the same latents at two sizes, compared at the size of fewer pixels.

    Args:
        images: shape (batch, channels, height, width), in [0, 1].
        others: shape (batch, channels, other height, other width), in [0, 1].

    Returns:
        Shape (batch,), 1 where both show the same.
    """
    smaller, larger = sorted((images, others), key=lambda image: image.shape[-2] * image.shape[-1])
    height, width = smaller.shape[-2:]
    return ssim(resize(larger, (height, width)).clamp(0, 1), smaller)
