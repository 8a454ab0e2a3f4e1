"""Latents of large pictures: encoded and denoised in overlapping tiles of one shared noise field."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.sampling import SamplingSettings
from arbiscale.imaging.coordinates import Region, crop
from arbiscale.imaging.draws import normal_like
from arbiscale.imaging.kernels import resize_region
from arbiscale.inference.tiles import Tiling, blend
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.networks.denoiser import Denoiser


class TiledDenoiser(nn.Module):
    """A denoiser that sees large latents in tiles; its predictions are blended at every step.

    Predictions (noise, v or z_0) are linear in each other at a given step, so whichever is blended
    gives the same latent (MultiDiffusion, arXiv 2302.08113, equation 5).
    """

    def __init__(self, denoiser: Denoiser, tiling: Tiling) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.tiling = tiling
        self.downsampling = denoiser.downsampling

    def forward(self, noisy_latent: Tensor, timestep: Tensor, condition: Tensor | None = None) -> Tensor:
        """Prediction of the same shape as the noisy latent; see `Denoiser.forward`."""

        def predict(region: Region) -> Tensor:
            part = None if condition is None else crop(condition, region).contiguous()
            prediction = self.denoiser(crop(noisy_latent, region).contiguous(), timestep, part)
            return prediction.to(noisy_latent.dtype)  # blended in full precision

        height, width = noisy_latent.shape[-2:]
        return blend((height, width), self.tiling, predict)


def sample_tiled(
    diffusion: LatentDiffusion,
    low_resolution: Tensor,
    sampling: SamplingSettings,
    tiling: Tiling,
    generators: list[torch.Generator],
) -> Tensor:
    """A normalised latent of super-resolution, what `LatentDiffusion.sample` draws but for the tiles.

    Args:
        diffusion: a model of super-resolution.
        low_resolution: images (batch, 3, height, width) in [-1, 1], sides multiples of the denoiser's.
        sampling: how to draw.
        tiling: in latent pixels.
        generators: of the noise, one an image; the field is the one that would be drawn without tiles.
    """
    condition = encode_tiled(diffusion, low_resolution, tiling)
    noise = normal_like(condition[:, : diffusion.space.channels], generators)
    large = LatentDiffusion(
        diffusion.space,
        diffusion.process,
        TiledDenoiser(diffusion.denoiser, tiling),  # type: ignore[arg-type]  # it is called as a denoiser is
        diffusion.factor,
        diffusion.condition_upsampling,
    )
    return large.sample(noise, condition, sampling, generator=generators)


def encode_tiled(diffusion: LatentDiffusion, low_resolution: Tensor, tiling: Tiling) -> Tensor:
    """The normalised condition; of the upsampled image only one tile exists at a time."""
    factor, downsampling = diffusion.factor, diffusion.space.autoencoder.downsampling
    branch = diffusion.space.autoencoder.decoder.branch
    assert factor is not None
    height, width = low_resolution.shape[-2:]
    upsampled = (height * factor, width * factor)

    def encode(region: Region) -> Tensor:
        top, left, rows, columns = (side * downsampling for side in region)
        part = (top, left, rows, columns)
        latent = diffusion.space.encode(
            resize_region(low_resolution, upsampled, part, diffusion.condition_upsampling)
        )
        if branch is None:
            return latent
        return torch.cat([latent, branch(crop(low_resolution, region).contiguous()).to(latent)], dim=1)

    return blend((upsampled[0] // downsampling, upsampled[1] // downsampling), tiling, encode)
