"""What validations of denoisers have in common: a short chain, its quality and its pictures."""

from __future__ import annotations

import torch

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.imaging.sheets import comparison
from arbiscale.losses.reduction import per_sample
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import ImagePair
from arbiscale.training.module import Validation

_STEPS = 8  # where the process has as many timesteps


def preview_sampling(process: DiffusionProcess) -> SamplingSettings:
    """The chain of the stages whose loss runs none: one for all of them, so that their curves compare."""
    return SamplingSettings(steps=min(_STEPS, process.timesteps), spacing="trailing", eta=0.0)


def preview(
    model: LatentDiffusion, pair: ImagePair, sampling: SamplingSettings, metrics: dict[str, float]
) -> Validation:
    """Draw the validation crops through a chain; PSNR to the target where there is a condition."""
    batch, _, height, width = pair.target.shape
    noise = torch.randn(model.latent_shape(batch, (height, width)), device=pair.target.device)
    latent = model.sample(noise, pair.condition, sampling)
    drawn = model.space.decode(latent, (height, width), base=pair.base).clamp(-1, 1)
    if pair.condition is None:
        return Validation(metrics, {"samples": comparison([drawn])})
    psnr = (10 * torch.log10(4 / per_sample(drawn - pair.target, "l2"))).mean()
    return Validation({**metrics, "psnr": float(psnr)}, {"samples": comparison([drawn, pair.target])})
