"""Models without training whose pictures are known: latents are pixels, rearranged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.sampling import SamplingSettings
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.resize import resize

NO_NETWORKS = MetricNetworks({"lpips": None})  # its weights are not at hand


@dataclass
class StandIn:
    """Encodes by space-to-depth, decodes by bicubic resizing; samples the bicubic image plus `error`."""

    task: str
    error: float = 0.0  # added to every sampled value
    factor: int = 4
    downsampling: int = 4
    sampling: SamplingSettings | None = None
    timesteps: int = 0
    has_texture: bool = False
    temperature: float = 0.0
    has_branch: bool = False
    fidelity: float = 0.0
    device = torch.device("cpu")

    def encode(self, image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, self.downsampling)

    def decode(
        self,
        latent: Tensor,
        size: Size,
        *,
        low_resolution: Tensor | None = None,
        temperature: float | None = None,
        fidelity: float | None = None,
        seed: Sequence[int] = (),
    ) -> Tensor:
        return resize(functional.pixel_shuffle(latent, self.downsampling), size)

    def sample_latents(self, low_resolution: Tensor, *, seed: Sequence[int]) -> Tensor:
        height, width = low_resolution.shape[-2:]
        return self.encode(resize(low_resolution, (height * self.factor, width * self.factor))) + self.error

    def latent_size_for(self, size: Size) -> Size:
        return size[0] // self.downsampling, size[1] // self.downsampling

    def generate_latents(self, count: int, latent_size: Size, *, seed: Sequence[int]) -> Tensor:
        side = (latent_size[0] * self.downsampling, latent_size[1] * self.downsampling)
        noise = torch.stack([noise_of(own, 3, 8, 8) for own in seed])
        assert len(noise) == count
        return self.encode(resize(noise * 0.3, side)) + self.error


def noise_of(seed: int, *shape: int) -> Tensor:
    """Standard normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class MeanDifference:
    """In LPIPS's place, of images in [-1, 1]."""

    def __init__(self, least_px: int = 1) -> None:
        self.least_px = least_px

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


class FirstValues(nn.Module):
    """In Inception's place: features are an image's first values. Counts the images it sees."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.features, self.images = features, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return images.flatten(1)[:, : self.features]


def texture(side_px: int, seed: int) -> NDArray[np.uint8]:
    """Smooth random texture, uint8 (side_px, side_px, 3)."""
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    pixels = resize(noise, (side_px, side_px)).clamp(0, 1).mul(255).round().to(torch.uint8)
    return pixels[0].permute(1, 2, 0).numpy()


@pytest.fixture
def stand_in() -> Callable[..., StandIn]:
    """Makes models of a task."""
    return StandIn


@pytest.fixture
def crops() -> list[HeldOutCrop]:
    """Two crops of each of two photographs, 64 px."""
    return [HeldOutCrop(name, texture(64, seed), seed % 2) for seed, name in enumerate("aabb")]
