"""Every sampler against closed forms, against the others, and against diffusers where it is right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.diffusion.sampling import Denoise, sample

ProcessMaker = Callable[..., DiffusionProcess]
MEAN, DEVIATION = 0.7, 0.4  # of Gaussian data, whose denoiser and trajectories are known


def settings(sampler: str, steps: int, **changes: Any) -> SamplingSettings:
    values = {"sampler": sampler, "steps": steps, "spacing": "trailing", "eta": 0.0}
    return SamplingSettings.model_validate(values | changes)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or (2, 4, 3, 5)), generator=torch.Generator().manual_seed(seed))


def gaussian(process: DiffusionProcess) -> Denoise:
    """The exact denoiser of latents N(MEAN, DEVIATION^2): it predicts E[z_0 | z_t]."""

    def denoise(noisy: Tensor, timestep: Tensor) -> Tensor:
        alpha_bar = process.alpha_bar[timestep][:, None, None, None]
        gain = alpha_bar.sqrt() * DEVIATION**2 / (alpha_bar * DEVIATION**2 + 1 - alpha_bar)
        return MEAN + gain * (noisy - alpha_bar.sqrt() * MEAN)

    return denoise


def trajectory(process: DiffusionProcess, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Where the probability flow takes z_T = noise: the same quantile of each z_t's distribution."""

    def deviation(alpha_bar: Tensor) -> Tensor:
        return (alpha_bar * DEVIATION**2 + 1 - alpha_bar).sqrt()

    start = process.alpha_bar[-1]
    quantile = (noise - start.sqrt() * MEAN) / deviation(start)
    return alpha_bar.sqrt() * MEAN + deviation(alpha_bar) * quantile


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
@pytest.mark.parametrize(("sampler", "error"), [("ddim", 0.015), ("dpm_solver", 0.007), ("unipc", 0.007)])
def test_all_samplers_without_noise_end_at_the_same_latent(
    make_process: ProcessMaker, sampler: str, error: float, zero_terminal_snr: bool
) -> None:
    process = make_process(prediction="x0", zero_terminal_snr=zero_terminal_snr)
    noise = normal(0)
    drawn = sample(gaussian(process), process, noise, settings(sampler, 1000))
    assert_close(drawn, trajectory(process, noise, torch.ones(())), atol=error, rtol=0)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
@pytest.mark.parametrize(("sampler", "error"), [("ddim", 0.08), ("dpm_solver", 0.006), ("unipc", 0.002)])
def test_solvers_of_second_order_are_nearer_at_few_steps(
    make_process: ProcessMaker, sampler: str, error: float, zero_terminal_snr: bool
) -> None:
    """Up to the last step: from there to the clean latent, all of them take one of first order."""
    process = make_process(prediction="x0", zero_terminal_snr=zero_terminal_snr)
    noise, exact, errors = normal(0), gaussian(process), []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        expected = trajectory(process, noise, process.alpha_bar[timestep[0]])
        errors.append(float((latent - expected).abs().max()))
        return exact(latent, timestep)

    sample(denoise, process, noise, settings(sampler, 20))
    assert error / 2 < max(errors) < error


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("ddim", 1.0)])
def test_samplers_with_noise_draw_from_the_datas_distribution(
    make_process: ProcessMaker, sampler: str, eta: float
) -> None:
    process, generator = make_process(prediction="x0"), torch.Generator().manual_seed(1)
    noise = normal(0, 1, 1, 50, 100)
    drawn = sample(gaussian(process), process, noise, settings(sampler, 1000, eta=eta), generator=generator)
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(DEVIATION, rel=0.04)
    start_and_end = torch.stack([noise.flatten(), drawn.flatten()])
    assert abs(torch.corrcoef(start_and_end)[0, 1]) < 0.1  # the noise on the way decides


@pytest.mark.parametrize(("name", "eta"), [("euler", 0.0), ("ddpm", 1.0)])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_names_of_ddim(make_process: ProcessMaker, name: str, eta: float, spacing: str) -> None:
    alias, ddim = (
        sample(
            lambda latent, timestep: latent.sin() + timestep[:, None, None, None] / 1000,
            make_process(),
            normal(0),
            settings(sampler, 7, spacing=spacing, eta=noise),
            generator=torch.Generator().manual_seed(5),
        )
        for sampler, noise in ((name, 0.0), ("ddim", eta))
    )
    assert torch.equal(alias, ddim)


def test_the_second_step_of_dpm_solver_in_closed_form(make_process: ProcessMaker) -> None:
    """Algorithm 2 of arXiv 2211.01095 (2M), from timestep 749 to 499 after one from 999."""
    process = make_process(prediction="x0")
    estimates = [normal(seed) for seed in range(1, 5)]
    seen: list[Tensor] = []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        seen.append(latent.double())
        return estimates[len(seen) - 1]

    sample(denoise, process, normal(0), settings("dpm_solver", 4))
    alpha = process.alpha_bar.double().sqrt()
    sigma = (1 - alpha.square()).sqrt()
    log_ratio = (alpha / sigma).log()
    step = log_ratio[499] - log_ratio[749]
    before = (log_ratio[749] - log_ratio[999]) / step
    extrapolated = (1 + 1 / (2 * before)) * estimates[1] - 1 / (2 * before) * estimates[0]
    expected = sigma[499] / sigma[749] * seen[1] - alpha[499] * ((-step).exp() - 1) * extrapolated
    assert_close(seen[2], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", [200, 30])
def test_published_settings_are_latent_diffusions_sampler(make_process: ProcessMaker, steps: int) -> None:
    """DDIM with eta 1 at timesteps 1, 1 + 1000 // S, ..., all of them visited, ending at alpha_bar_0."""
    process = make_process(prediction="epsilon", beta_start=1e-4, beta_end=0.015)
    alpha_bar = process.alpha_bar.double()
    generator = torch.Generator().manual_seed(7)
    timesteps = [1 + 1000 // steps * index for index in range(steps)]
    latent = normal(0).double()
    for index in reversed(range(steps)):
        now = alpha_bar[timesteps[index]]
        after = alpha_bar[timesteps[index - 1]] if index else alpha_bar[0]
        noise = latent.tanh()
        deviation = ((1 - after) / (1 - now) * (1 - now / after)).sqrt()
        clean = (latent - (1 - now).sqrt() * noise) / now.sqrt()
        fresh = torch.randn(latent.shape, generator=generator)
        latent = after.sqrt() * clean + (1 - after - deviation**2).sqrt() * noise + deviation * fresh

    drawn = sample(
        lambda noisy, _: noisy.tanh(),
        process,
        normal(0),
        settings("ddim", steps, spacing="leading", eta=1.0),
        generator=torch.Generator().manual_seed(7),
    )
    assert_close(drawn, latent.float(), atol=2e-3, rtol=1e-3)


BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0155,
    "beta_schedule": "scaled_linear",
}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    ("sampler", "scheduler", "steps"),
    [
        ("ddim", DDIMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False), 20),
        ("ddpm", DDPMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False), 7),
        ("dpm_solver", DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing"), 20),
        ("dpm_solver", DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing"), 7),
        ("unipc", UniPCMultistepScheduler(**BETAS, timestep_spacing="trailing"), 20),
        ("unipc", UniPCMultistepScheduler(**BETAS, timestep_spacing="trailing"), 7),
        ("euler", EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing"), 20),
    ],
)
def test_chains_equal_diffusers_where_it_visits_the_same_timesteps(
    make_process: ProcessMaker, sampler: str, scheduler: Any, steps: int, prediction: str
) -> None:
    """Told of all the timesteps, of what is predicted, and left to choose among them itself."""
    process = make_process(prediction=prediction)
    sampling = settings(sampler, steps)

    def predict(latent: Tensor) -> Tensor:
        return latent.tanh()

    scheduler = type(scheduler).from_config(scheduler.config, prediction_type=PREDICTIONS[prediction])
    scheduler.set_timesteps(steps)
    assert [int(timestep) for timestep in scheduler.timesteps] == process.chain(sampling)[0].tolist()
    generator = torch.Generator().manual_seed(3)
    keywords = {"generator": generator} if sampler == "ddpm" else {}
    alpha_bar = process.alpha_bar[-1]
    latent = normal(0) / alpha_bar.sqrt() if sampler == "euler" else normal(0)
    for timestep in scheduler.timesteps:
        predicted = predict(scheduler.scale_model_input(latent, timestep))
        latent = scheduler.step(predicted, timestep, latent, **keywords).prev_sample

    drawn = sample(
        lambda noisy, _: predict(noisy),
        process,
        normal(0),
        sampling,
        generator=torch.Generator().manual_seed(3),
    )
    assert_close(drawn, latent, atol=2e-3, rtol=1e-3)
