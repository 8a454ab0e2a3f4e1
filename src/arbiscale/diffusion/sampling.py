"""Drawing latents: one pure function of a denoiser and starting noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.flow_process import FlowProcess
from arbiscale.diffusion.process import Process
from arbiscale.diffusion.solvers import make_step, straight_step
from arbiscale.imaging.draws import Source

Denoise = Callable[[Tensor, Tensor], Tensor]  # (noisy latent, timestep) -> prediction


def sample(
    denoise: Denoise,
    process: Process,
    start: Tensor,
    sampling: SamplingSettings,
    *,
    generator: Source | None = None,
    first_step: int = 0,
    gradient_steps: int | None = None,
) -> Tensor:
    """A clean, normalised latent from where a chain starts; one call of the denoiser a step.

    Args:
        denoise: the denoiser with its condition bound.
        process: the forward process it was trained on.
        start: the latent at the noisiest timestep, shape (batch, channels, height, width).
        sampling: the sampler, its steps, their spacing and eta.
        generator: of the noise that ddpm, and ddim with eta > 0, add; None = the global random state.
        first_step: skip the steps before it; `start` is then z_t at this step's timestep. Samplers that use
            earlier steps begin without any.
        gradient_steps: let gradients flow through this many last steps only; None = leave the
            caller's gradient mode alone.

    Returns:
        The latent at the 0-th step, same shape.

    Raises:
        UserError: more steps than the process has timesteps; a sampler that the process does not take.
    """
    timesteps, ends = process.chain(sampling)
    starts = process.levels[timesteps]
    if isinstance(process, FlowProcess):
        step = straight_step(sampling, starts, ends)
    else:
        step = make_step(sampling, starts, ends, first_step=first_step, generator=generator)
    latent = start
    for index in range(first_step, sampling.steps):
        timestep = timesteps[index].expand(len(latent))
        detached = gradient_steps is not None and index < sampling.steps - gradient_steps
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
            prediction = denoise(latent, timestep).to(latent.dtype)  # autocast's type is shorter
            latent = step(index, latent, process.estimate_latent(prediction, latent, timestep))
    return latent
