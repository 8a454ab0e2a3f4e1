"""The space diffusion works in: the autoencoder's latents, normalised, and super-resolution's condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.imaging.resize import Kernel, base_image, condition_image, shrink
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

    def encode(self, image: Tensor, *, sample: bool = False) -> Tensor:
        """Normalised latents of images (batch, 3, height, width): the posterior's mode, or a draw."""
        posterior = self.autoencoder.encode(image)
        return self.normalise(posterior.sample() if sample else posterior.mode())

    def normalise(self, latent: Tensor) -> Tensor:
        """An autoencoder's latent as diffusion sees it."""
        return (latent - self.shift) * self.scale

    def restore(self, normalised: Tensor) -> Tensor:
        """A normalised latent as the autoencoder sees it."""
        return normalised / self.scale + self.shift

    def decode(
        self, normalised: Tensor, size: Size, *, region: Region | None = None, base: Tensor | None = None
    ) -> Tensor:
        """Draw a normalised latent at any size; see `ImplicitDecoder.forward`."""
        return self.autoencoder.decode(self.restore(normalised), size, region=region, base=base)

    def condition(self, low_resolution: Tensor, factor: int, kernel: Kernel) -> Tensor:
        """Super-resolution's condition: the upsampled low-resolution image's latent (mode), normalised."""
        return self.encode(condition_image(low_resolution, factor, kernel))


@torch.no_grad()
def measure_statistics(
    autoencoder: Autoencoder, batches: Iterable[Tensor], normalization: Literal["scalar", "per_channel"]
) -> LatentStatistics:
    """Shift and scale that give latents unit variance: one scale for all (as published), or per channel.

    Images (batch, 3, height, width) are encoded on the autoencoder's device.
    """
    device = next(autoencoder.parameters()).device
    latents = torch.cat([autoencoder.encode(images.to(device)).mode().cpu() for images in batches])
    channels = latents.shape[1]
    if normalization == "scalar":
        return LatentStatistics([0.0] * channels, [float(1 / latents.std())] * channels)
    by_channel = latents.transpose(0, 1).flatten(1)
    return LatentStatistics(by_channel.mean(1).tolist(), (1 / by_channel.std(1).clamp(min=1e-6)).tolist())


@dataclass(frozen=True)
class ImagePair:
    """What training derives from a high-resolution crop.

    Attributes:
        target: the image (batch, 3, height, width).
        base: what a residual decoder draws on, at the target's size; None for other decoders.
        condition: super-resolution's condition, normalised; None for generation.
    """

    target: Tensor
    base: Tensor | None
    condition: Tensor | None

    def part(self, region: Region) -> ImagePair:
        """The same with target and base cut to a region."""
        base = None if self.base is None else crop(self.base, region)
        return ImagePair(crop(self.target, region), base, self.condition)


@torch.no_grad()
def make_pair(space: LatentSpace, images: Tensor, factor: int | None, kernel: Kernel) -> ImagePair:
    """Target, base and condition of crops; `factor` None for generation."""
    if factor is None:
        return ImagePair(images, None, None)
    low_resolution = shrink(images, factor)
    height, width = images.shape[-2:]
    base = base_image(low_resolution, (height, width)) if space.autoencoder.settings.residual else None
    return ImagePair(images, base, space.condition(low_resolution, factor, kernel))
