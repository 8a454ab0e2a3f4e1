"""Pictures as they are shown, and the measures that compare them with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.imaging.coordinates import Size
from arbiscale.metrics.colour import luma
from arbiscale.metrics.diversity import pairwise_distance, pixel_deviation
from arbiscale.metrics.quality import psnr, ssim
from arbiscale.metrics.self_similarity import self_similarity

BATCH_PIXELS = 2**19  # of the output: 8 crops of 256 px at a time

Draw = Callable[[Size], Tensor]  # pictures (batch, 3, *size) in [-1, 1], drawn again at any size


def batches(count: int, size: Size) -> Iterator[slice]:
    """Slices of at most BATCH_PIXELS output pixels, or of one picture, over `count` pictures."""
    step = max(1, BATCH_PIXELS // (size[0] * size[1]))
    for start in range(0, count, step):
        yield slice(start, start + step)


def in_batches(make: Callable[[slice], Tensor], count: int, size: Size) -> Tensor:
    """What `make` gives for every slice of `batches`, concatenated."""
    return torch.cat([make(part) for part in batches(count, size)])


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
) -> dict[str, list[float]]:
    """PSNR, SSIM and perceptual distances of images (batch, 3, height, width) in [0, 1] from the truth.

    Args:
        images: as shown.
        truth: of the same shape.
        networks: behind the perceptual distances, always of RGB; NaN where they take no such image.
        channels: what PSNR and SSIM compare.
        shave_px: border left out.
    """
    images, truth = (_shaved(pictures, shave_px) for pictures in (images, truth))
    size = (images.shape[-2], images.shape[-1])
    found: list[dict[str, Tensor]] = []
    for part in batches(len(images), size):
        image, reference = images[part], truth[part]
        pair = (image, reference) if channels == "rgb" else (luma(image), luma(reference))
        distances = networks.distances(image, reference)
        found.append({"psnr": psnr(*pair), "ssim": ssim(*pair), **distances})
    return {name: torch.cat([values[name] for values in found]).tolist() for name in found[0]}


def diversity(draws: Sequence[Tensor], networks: MetricNetworks) -> dict[str, list[float]]:
    """How much pictures drawn with different seeds differ: mean LPIPS over pairs, and deviation per pixel.

    Args:
        draws: two or more, as shown, each of shape (batch, 3, height, width).
        networks: behind the distance; NaN where it takes no such picture.
    """
    count, _, height, width = draws[0].shape
    lpips = partial(networks.distance, "lpips")
    found: list[tuple[Tensor, Tensor]] = []
    for part in batches(count, (height, width)):
        here = [draw[part] for draw in draws]
        found.append((pairwise_distance(here, lpips), pixel_deviation(here)))
    distances, deviations = (torch.cat(values).tolist() for values in zip(*found, strict=True))
    return {"diversity_lpips": distances, "diversity_std": deviations}


def _shaved(images: Tensor, border_px: int) -> Tensor:
    """The images without a border."""
    height, width = images.shape[-2:]
    return images[..., border_px : height - border_px, border_px : width - border_px]


def agreement_with_half_size(images: Tensor, draw: Draw) -> Tensor:
    """SelfSSIM between images as shown and the same latents drawn at half their size, shape (batch,)."""
    height, width = images.shape[-2:]
    return self_similarity(images, as_shown(draw((max(1, height // 2), max(1, width // 2)))))
