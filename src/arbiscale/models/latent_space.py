"""The space diffusion works in: the autoencoder's latents, normalised, and super-resolution's condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.resize import Kernel, Shrink, condition_image, shrink_to
from arbiscale.networks.autoencoder import Autoencoder


@dataclass(frozen=True)
class LatentStatistics:
    """normalised = (latent - shift) * scale, a value a channel."""

    shift: list[float]
    scale: list[float]

    @classmethod
    def uniform(cls, channels: int, scale: float) -> LatentStatistics:
        """One scale for all channels and no shift, as published."""
        return cls([0.0] * channels, [scale] * channels)


class LatentSpace(nn.Module):
    """An autoencoder seen by a diffusion model."""

    shift: Tensor
    scale: Tensor

    def __init__(self, autoencoder: Autoencoder, statistics: LatentStatistics) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.register_buffer("shift", torch.tensor(statistics.shift)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(statistics.scale)[:, None, None], persistent=False)

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.autoencoder.settings.latent_channels

    def encode(self, image: Tensor) -> Tensor:
        """Normalised latents of images (batch, 3, height, width): the posterior's mode."""
        return self.normalise(self.autoencoder.encode(image).mode())

    def draw(self, moments: Tensor) -> Tensor:
        """Normalised latents, drawn from the posterior that the encoder's output stands for."""
        return self.normalise(self.autoencoder.posterior(moments).sample())

    def normalise(self, latent: Tensor) -> Tensor:
        """An autoencoder's latent as diffusion sees it."""
        return (latent - self.shift) * self.scale

    def restore(self, normalised: Tensor) -> Tensor:
        """A normalised latent as the autoencoder sees it."""
        return normalised / self.scale + self.shift

    def decode(
        self, normalised: Tensor, size: Size, *, region: Region | None = None, low: Tensor | None = None
    ) -> Tensor:
        """Draw a normalised latent at any size; see `ImplicitDecoder.forward`."""
        return self.autoencoder.decode(self.restore(normalised), size, region=region, low=low)

    def condition(self, low_resolution: Tensor, factor: int, kernel: Kernel) -> Tensor:
        """Super-resolution's condition.

        The upsampled low-resolution image's latent (mode), normalised; behind it the branch's features.
        """
        latent = self.encode(condition_image(low_resolution, factor, kernel))
        branch = self.autoencoder.decoder.branch
        return latent if branch is None else torch.cat([latent, branch(low_resolution).to(latent)], dim=1)


@torch.no_grad()
def measure_statistics(
    autoencoder: Autoencoder, batches: Iterable[Tensor], normalization: Literal["scalar", "per_channel"]
) -> LatentStatistics:
    """Shift and scale that give latents unit variance: one scale for all (as published), or per channel.

    Images (batch, 3, height, width), of any sizes, are encoded on the autoencoder's device. Latents are
    draws from the posterior, by the global random state, as the diffusion learns from draws.
    """
    device = next(autoencoder.parameters()).device
    latents = [autoencoder.encode(images.to(device)).sample().cpu() for images in batches]
    by_channel = torch.cat([each.transpose(0, 1).flatten(1) for each in latents], dim=1)
    if normalization == "scalar":
        channels = len(by_channel)
        return LatentStatistics([0.0] * channels, [float(1 / by_channel.std())] * channels)
    return LatentStatistics(by_channel.mean(1).tolist(), (1 / by_channel.std(1).clamp(min=1e-6)).tolist())


@dataclass(frozen=True)
class ImagePair:
    """What training derives from a high-resolution crop.

    Attributes:
        target: the image (batch, 3, height, width).
        low: the low-resolution image, where the decoder reads it; else None.
        condition: super-resolution's condition, normalised; None for generation.
    """

    target: Tensor
    low: Tensor | None
    condition: Tensor | None


@torch.no_grad()
def make_pair(
    space: LatentSpace, images: Tensor, factor: int | None, kernel: Kernel, shrink: Shrink = shrink_to
) -> ImagePair:
    """Target, low-resolution image and condition of crops; `factor` None for generation."""
    if factor is None:
        return ImagePair(images, None, None)
    height, width = images.shape[-2:]
    low = shrink(images, (height // factor, width // factor))
    read = low if space.autoencoder.settings.reads_picture else None
    return ImagePair(images, read, space.condition(low, factor, kernel))
