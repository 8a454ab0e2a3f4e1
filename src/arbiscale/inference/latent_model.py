"""The façade of what the stages train: an autoencoder, with latent diffusion or alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor
from torch.nn import functional

from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.draws import normal_like
from arbiscale.imaging.orientations import UPRIGHT, Orientation
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.proportions import in_groups, nearest_size
from arbiscale.imaging.resize import BASE_KERNEL
from arbiscale.inference.arguments import (
    checked_count,
    checked_seeds,
    checked_size,
    checked_tensor,
)
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.drawing_model import Precision
from arbiscale.inference.features import FeatureRows, make_features, seen_in
from arbiscale.inference.latents import sample_tiled
from arbiscale.inference.memory import choose_tiling
from arbiscale.inference.model import Model
from arbiscale.inference.options import SamplingOptions
from arbiscale.inference.tiles import Tiling
from arbiscale.models.folder import DiffusionConfig, ModelConfig
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.texture import Texture

_DEFAULT_SAMPLING = SamplingSettings(steps=50, spacing="trailing", eta=0.0)


class LatentModel(Model):
    """Latents of an autoencoder, sampled by diffusion, or only encoded where it stands alone.

    Attributes:
        config: what the folder says of itself.
        autoencoder: its encoder makes latents, its decoder draws them.
        diffusion: what samples latents; None for an autoencoder alone.
        sampling: how latents are drawn.
    """

    def __init__(
        self,
        config: ModelConfig,
        network: Autoencoder | LatentDiffusion,
        device: torch.device,
        precision: Precision,
        sampling: SamplingSettings | None = None,
    ) -> None:
        super().__init__(device, precision)
        self.config = config
        self.diffusion = network if isinstance(network, LatentDiffusion) else None
        self.autoencoder = network.space.autoencoder if isinstance(network, LatentDiffusion) else network
        self.sampling: SamplingSettings = sampling or config.sampling or _DEFAULT_SAMPLING
        self.timesteps = self.diffusion.process.timesteps if self.diffusion else 0
        alone = "super_resolution" if config.fidelity == 1 else "reconstruction"
        self.task = config.diffusion.task if config.diffusion else alone
        self.factor = config.factor
        self.downsampling = self.autoencoder.downsampling
        self.latent_channels = config.autoencoder.latent_channels
        self.base_kernel = BASE_KERNEL if config.autoencoder.residual else None
        self.reads_picture = config.autoencoder.reads_picture
        self.temperature = config.temperature
        self.has_branch = self.autoencoder.decoder.branch is not None
        self.fidelity = config.fidelity if self.has_branch else 0.0
        self.head = self.autoencoder.decoder.head

    def networks(self) -> list[torch.nn.Module]:
        """The convolutional networks: encoder, feature decoder; branch and denoiser, if there are any."""
        decoder, denoiser = self.autoencoder.decoder, self.diffusion and self.diffusion.denoiser
        found = (self.autoencoder.encoder, decoder.feature_decoder, decoder.branch, denoiser)
        return [network for network in found if network is not None]

    def feature_rows(
        self,
        latent: Tensor | None,
        low: Tensor | None,
        tiling: Tiling | None,
        seen: Sequence[Orientation] = (UPRIGHT,),
    ) -> FeatureRows:
        """Features of one latent, and of the image, row by row; see `Model.feature_rows`."""
        decoder, channels = self.autoencoder.decoder, self.latent_channels
        with self.computing():
            if latent is None:
                assert low is not None
                alone = seen_in(seen, lambda part: decoder.features(None, part))
                return make_features(low.expand(len(seen), -1, -1, -1), alone, tiling)
            if decoder.branch is None or low is None:
                return make_features(latent, seen_in(seen, lambda part: decoder.features(part, low)), tiling)

            def read(part: Tensor) -> Tensor:
                return decoder.features(part[:, :channels], part[:, channels:])

            both = torch.cat([latent, low.to(latent).expand(len(seen), -1, -1, -1)], dim=1)
            return make_features(both, seen_in(seen, read), tiling)

    def tiling(self, size: Size, tile: str | int) -> tuple[Size, Tiling | None]:
        """See `Model.tiling`; the plane is the latent."""
        per_pixel = self.factor // self.downsampling
        latent_size = (size[0] * per_pixel, size[1] * per_pixel)
        return latent_size, choose_tiling(self.config, self.device, latent_size, tile)

    def _sample(
        self, picture: Picture, tile: str | int, latent: bool, **options: Unpack[SamplingOptions]
    ) -> Drawing:
        _, tiling = self.tiling(picture.size, tile)
        sampled = None
        if latent or not self.has_branch:
            sampled = self.sample_latents(to_tensor(picture.rgb), tiling=tiling, **options)
        (seed,) = checked_seeds(options.get("seed", 0), 1)
        return Drawing(self, sampled, picture, tiling, seed=seed)

    def encode(self, image: Tensor) -> Tensor:
        """Latents (the posterior's mode) of images (batch, 3, height, width) in [-1, 1].

        Raises:
            UserError: other shapes, or sides that are no multiples of `downsampling`.
        """
        image = checked_tensor("images", image, 3, multiple=self.downsampling)
        with self.computing():
            return self.autoencoder.encode(image.to(self.device)).mode().float()

    def _decode(
        self, latent: Tensor | None, size: Size, region: Region | None, low: Tensor | None, texture: Texture
    ) -> Tensor:
        return self.autoencoder.decode(latent, size, region=region, low=low, texture=texture)

    def sample_latents(
        self, low_resolution: Tensor, *, tiling: Tiling | None = None, **options: Unpack[SamplingOptions]
    ) -> Tensor:
        """Latents of super-resolved images; see `Model.sample_latents`. `tiling`: in latent pixels."""
        low_resolution = checked_tensor("low_resolution", low_resolution, 3)
        height, width = low_resolution.shape[-2:]
        per_pixel = self.factor // self.downsampling
        if self._only_branch:  # a latent of which nothing is drawn
            return torch.zeros(len(low_resolution), self.latent_channels, height, width, device=self.device)
        diffusion, config = self.diffusion_for("super_resolution")
        padded = pad_to_multiple(low_resolution.to(self.device), config.denoiser.downsampling)
        settings, generators = self._resolve(len(padded), **options)
        with self.computing():
            if tiling is None:
                condition = diffusion.condition(padded)
                assert condition is not None
                noise = normal_like(condition[:, : diffusion.space.channels].float(), generators)
                latent = diffusion.sample(noise, condition, settings, generator=generators)
            else:
                latent = sample_tiled(diffusion, padded, settings, tiling, generators)
            return diffusion.space.restore(latent)[..., : height * per_pixel, : width * per_pixel]

    @property
    def _only_branch(self) -> bool:
        return self.diffusion is None and self.task == "super_resolution"

    def share_of_branch(self, fidelity: float | None) -> float:
        """See `Model.share_of_branch`; where no latents are sampled, 1."""
        share = super().share_of_branch(fidelity)
        if self._only_branch and share < 1:
            raise UserError("this model samples no latent: its fidelity is 1; leave it out")
        return share

    def latent_size_for(self, size: Size) -> Size:
        """A latent size of about the training's area in the proportions of an image size."""
        config = self.diffusion_for("generation")[1]
        multiple = config.denoiser.downsampling
        side = math.prod(nearest_size(size, config.latent_sizes)) ** 0.5
        stretch = (size[0] / size[1]) ** 0.5
        stretch = min(max(stretch, multiple / side), side / multiple)  # no side vanishes, none explodes
        height, width = (max(1, round(side * s / multiple)) * multiple for s in (stretch, 1 / stretch))
        return (height, width)

    def sharing_latents(self, sizes: Sequence[Size]) -> list[list[Size]]:
        """See `Model.sharing_latents`."""
        return in_groups(sizes, self.diffusion_for("generation")[1].latent_sizes)

    def generate_latents(
        self,
        count: int,
        latent_size: Size,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """Latents (count, channels, *latent_size) of generated images; see `Model.generate_latents`."""
        diffusion, config = self.diffusion_for("generation")
        multiple = config.denoiser.downsampling
        height, width = (-(-side // multiple) * multiple for side in checked_size(latent_size, "the latent"))
        settings, generators = self._resolve(checked_count(count), **options)
        shape = (len(generators), diffusion.space.channels, height, width)
        noise = normal_like(torch.empty(shape, device=self.device), generators)
        with self.computing():
            latent = diffusion.sample(noise, None, settings, generator=generators)
            return diffusion.space.restore(latent)

    def _resolve(
        self,
        count: int,
        *,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int | Sequence[int] = 0,
        eta: float | None = None,
    ) -> tuple[SamplingSettings, list[torch.Generator]]:
        """The model's settings with these replaced, and the sources of noise, the same on every device."""
        generators = [torch.Generator().manual_seed(own) for own in checked_seeds(seed, count)]
        return self.sampling.but(steps=steps, sampler=sampler, eta=eta), generators

    def diffusion_for(self, task: str) -> tuple[LatentDiffusion, DiffusionConfig]:
        """The diffusion model and its configuration; raises UserError where it was made for another task."""
        if self.diffusion is None or self.config.diffusion is None or self.task != task:
            raise self.refusal(task)
        return self.diffusion, self.config.diffusion


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples."""
    height, width = image.shape[-2:]
    return functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")
