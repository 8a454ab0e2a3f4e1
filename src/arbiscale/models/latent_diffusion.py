"""A latent diffusion model: latent space, forward process and denoiser, composed."""

from __future__ import annotations

from torch import Tensor, nn

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import Process
from arbiscale.diffusion.sampling import sample
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.draws import Source
from arbiscale.imaging.resize import Kernel, Shrink, shrink_to
from arbiscale.models.latent_space import ImagePair, LatentSpace, make_pair
from arbiscale.networks.denoiser import Denoiser


class LatentDiffusion(nn.Module):
    """Draws latents, given a low-resolution image (super-resolution) or nothing (generation).

    Attributes:
        factor: super-resolution's fixed training factor (HR crop / LR crop); None for generation.
    """

    def __init__(
        self,
        space: LatentSpace,
        process: Process,
        denoiser: Denoiser,
        factor: int | None,
        condition_upsampling: Kernel,
    ) -> None:
        super().__init__()
        self.space = space
        self.process = process
        self.denoiser = denoiser
        self.factor = factor
        self.condition_upsampling: Kernel = condition_upsampling

    def pair(self, images: Tensor, shrink: Shrink = shrink_to) -> ImagePair:
        """What trainings make of crops (batch, 3, height, width) in [-1, 1]."""
        return make_pair(self.space, images, self.factor, self.condition_upsampling, shrink)

    def condition(self, low_resolution: Tensor) -> Tensor | None:
        """The normalised condition of images (batch, 3, height, width); None for generation."""
        if self.factor is None:
            return None
        return self.space.condition(low_resolution, self.factor, self.condition_upsampling)

    def latent_shape(self, batch: int, image_size: Size) -> tuple[int, int, int, int]:
        """Shape of the latents of images of a size (a multiple of the downsampling)."""
        downsampling = self.space.autoencoder.downsampling
        return (batch, self.space.channels, image_size[0] // downsampling, image_size[1] // downsampling)

    def sample(
        self,
        noise: Tensor,
        condition: Tensor | None,
        sampling: SamplingSettings,
        *,
        generator: Source | None = None,
        first_step: int = 0,
        gradient_steps: int | None = None,
    ) -> Tensor:
        """A normalised latent from noise; see `arbiscale.diffusion.sampling.sample`.

        With a `first_step`, `noise` is z_t.
        """
        return sample(
            lambda noisy, timestep: self.denoiser(noisy, timestep, condition),
            self.process,
            noise if first_step else self.process.start(noise, condition),
            sampling,
            generator=generator,
            first_step=first_step,
            gradient_steps=gradient_steps,
        )
