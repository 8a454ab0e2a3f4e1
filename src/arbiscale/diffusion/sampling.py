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
    timesteps, ends = process.chain(sampling)
    latent = noise
    for index in range(first_step, sampling.steps):
        timestep = timesteps[index].expand(len(latent))
        detached = gradient_steps is not None and index < sampling.steps - gradient_steps
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
            prediction = denoise(latent, timestep)
            latent = _step(process, prediction, latent, timestep, ends[index], sampling.eta, generator)
    return latent


def _step(
    process: DiffusionProcess,
    prediction: Tensor,
    noisy: Tensor,
    timestep: Tensor,
    end: Tensor,
    eta: float,
    generator: torch.Generator | None,
) -> Tensor:
    """From z_t to the latent whose alpha_bar is `end`."""
    clean = process.estimate_latent(prediction, noisy, timestep)
    noise = process.estimate_noise(prediction, noisy, timestep)
    if not eta:
        return end.sqrt() * clean + (1 - end).sqrt() * noise
    start = process.alpha_bar[timestep[0]]
    variance = eta**2 * (1 - end) / (1 - start) * (1 - start / end)  # equation 16
    device = generator.device if generator else noisy.device
    fresh = torch.randn(noisy.shape, generator=generator, device=device).to(noisy)
    kept = (1 - end - variance).clamp(min=0)  # rounding
    return end.sqrt() * clean + kept.sqrt() * noise + variance.sqrt() * fresh
