"""The samplers: what takes a noisy latent one step further along its chain.

DDIM is written out here, DPM-Solver++ and UniPC are diffusers' schedulers. A chain that visits S of T
timesteps is itself a process of S timesteps (arXiv 2102.09672, section 4), so a scheduler is given only
those: the timestep before a timestep is then the next one visited, for every S and spacing. All of them are
given the estimate of z_0, so that the closed forms of `DiffusionProcess` are the only ones.

| sampler | order | noise | source |
|---|---|---|---|
| ddim | 1 | eta | arXiv 2010.02502 |
| ddpm | 1 | yes | arXiv 2006.11239; another name of DDIM with eta = 1 |
| dpm_solver | 2 | no | DPM-Solver++ (2M), arXiv 2211.01095 |
| unipc | 2, corrected | no | arXiv 2302.04867 |
| euler | 1 | no | arXiv 2206.00364, algorithm 1; another name of DDIM with eta = 0 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers  # which imports a scheduler when it is first named
import torch
from torch import Tensor

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.draws import Source, normal_like

# (index of the step, noisy latent, estimate of z_0) -> the latent at the step's end
Step = Callable[[int, Tensor, Tensor], Tensor]

# The least signal given to schedulers on sigma = sqrt((1 - a) / a): sigma is at most 4096, which float32
# can represent beside a latent of unit variance.
_LEAST_ALPHA_BAR = 2.0**-24


def make_step(
    sampling: SamplingSettings,
    starts: Tensor,
    ends: Tensor,
    *,
    first_step: int = 0,
    generator: Source | None = None,
) -> Step:
    """The function that takes each step of one chain, called for each step in turn.

    Args:
        sampling: the sampler and its eta.
        starts: alpha_bar at which each step starts, shape (steps,), increasing.
        ends: alpha_bar at which each step ends, shape (steps,).
        first_step: the first that will be taken.
        generator: of the noise that a sampler adds.
    """
    if sampling.sampler == "dpm_solver":
        return _multistep(diffusers.DPMSolverMultistepScheduler, starts, ends, first_step)
    if sampling.sampler == "unipc":
        return _multistep(diffusers.UniPCMultistepScheduler, starts, ends, first_step)
    return _ddim(starts, ends, 1.0 if sampling.sampler == "ddpm" else sampling.eta, generator)


def straight_step(sampling: SamplingSettings, starts: Tensor, ends: Tensor) -> Step:
    """Euler's method on a straight path: part of the way to the estimate of z_0.

    Raises:
        UserError: another sampler than euler.
    """
    if sampling.sampler != "euler":
        raise UserError(f"sampler {sampling.sampler}: a flow's paths are straight; only euler follows them")

    def step(index: int, noisy: Tensor, clean: Tensor) -> Tensor:
        return torch.lerp(noisy, clean, (ends[index] - starts[index]) / (1 - starts[index]))

    return step


def _ddim(starts: Tensor, ends: Tensor, eta: float, generator: Source | None) -> Step:
    """Equations 12 and 16 of arXiv 2010.02502; exact also where a step starts without signal."""

    def step(index: int, noisy: Tensor, clean: Tensor) -> Tensor:
        start, end = starts[index], ends[index]
        noise = (noisy - start.sqrt() * clean) / (1 - start).sqrt()
        if not eta:
            return end.sqrt() * clean + (1 - end).sqrt() * noise
        variance = eta**2 * (1 - end) / (1 - start) * (1 - start / end)
        fresh = normal_like(noisy, generator)
        kept = (1 - end - variance).clamp(min=0)  # rounding
        return end.sqrt() * clean + kept.sqrt() * noise + variance.sqrt() * fresh

    return step


def _multistep(kind: type[Any], starts: Tensor, ends: Tensor, first_step: int) -> Step:
    """Solvers that remember earlier estimates, on sigma = sqrt((1 - a) / a).

    The first step taken, and the last, are of order 1.
    """
    starts, ends, steps = starts.cpu(), ends.cpu(), len(starts)
    floor = _LEAST_ALPHA_BAR * torch.linspace(1, 2, steps)  # rising, so that no step is of length zero
    scheduler = kind(num_train_timesteps=steps, prediction_type="sample", timestep_spacing="trailing")
    scheduler.alphas_cumprod = torch.maximum(starts, floor).flip(0)
    scheduler.set_timesteps(steps)
    scheduler.sigmas[-1] = ((1 - ends[-1]) / ends[-1]).sqrt()
    scheduler.set_begin_index(first_step)

    def step(index: int, noisy: Tensor, clean: Tensor) -> Tensor:
        return scheduler.step(clean, scheduler.timesteps[index], noisy).prev_sample

    return step
