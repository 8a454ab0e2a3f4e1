"""Drawing latents: one pure function of a denoiser and starting noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import DiffusionProcess

Denoise = Callable[[Tensor, Tensor], Tensor]  # (noisy latent, timestep) -> prediction


def sample(
    denoise: Denoise,
    process: DiffusionProcess,
    noise: Tensor,
    sampling: SamplingSettings,
    *,
    generator: torch.Generator | None = None,
    first_step: int = 0,
    gradient_steps: int | None = None,
) -> Tensor:
    """DDIM (arXiv 2010.02502, equation 12) from noise to a clean, normalised latent.

    Args:
        denoise: the denoiser with its condition bound.
        process: the forward process it was trained on.
        noise: the latent at the noisiest timestep, shape (batch, channels, height, width).
        sampling: steps, spacing and eta.
        generator: of the noise that eta > 0 adds.
        first_step: leave out the steps before; `noise` is then z_t at this step's timestep.
        gradient_steps: let gradients flow through this many last steps only; None = leave the
            caller's gradient mode alone.

    Returns:
        The latent at the 0-th step, same shape.
    """
    scheduler = process.scheduler(sampling)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(noise.device)
    latent = noise
    timesteps = scheduler.timesteps.to(noise.device)
    for index in range(first_step, sampling.steps):
        timestep = timesteps[index]
        detached = gradient_steps is not None and index < sampling.steps - gradient_steps
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
            prediction = denoise(latent, timestep.expand(len(latent)))
            latent = scheduler.step(
                prediction, timestep, latent, eta=sampling.eta, generator=generator
            ).prev_sample
    return latent
