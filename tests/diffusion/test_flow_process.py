"""Straight paths from the condition's latent: their closed forms, and that Euler's method follows them."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.diffusion import ProcessSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.flow_process import FlowProcess
from arbiscale.diffusion.sampling import sample
from arbiscale.errors import UserError

SHAPE = (6, 4, 3, 5)
BETAS = {"beta_start": 0.0015, "beta_end": 0.0155, "zero_terminal_snr": False}


def make(start_noise: float = 0.1, timesteps: int = 1000) -> FlowProcess:
    values = {"kind": "flow", "prediction": "v", "timesteps": timesteps, **BETAS}
    return FlowProcess(ProcessSettings.model_validate(values | {"start_noise": start_noise}))


def tensor(seed: int, channels: int = 4) -> Tensor:
    batch, _, height, width = SHAPE
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(seed))


def euler(steps: int, spacing: str = "trailing") -> SamplingSettings:
    return SamplingSettings.model_validate({"sampler": "euler", "steps": steps, "spacing": spacing, "eta": 0})


@pytest.mark.parametrize("start_noise", [0.0, 0.1, 1.0])
def test_a_chain_starts_at_the_conditions_latent_with_a_little_noise(start_noise: float) -> None:
    condition, noise = tensor(1, channels=9), tensor(2)
    start = make(start_noise).start(noise, condition)
    assert_close(start, condition[:, :4] + start_noise * noise)
    with pytest.raises(ValueError, match="a flow starts from the condition"):
        make().start(noise, None)


def test_the_way_is_straight_from_the_start_to_the_latent() -> None:
    process, latent, start = make(), tensor(1), tensor(2)
    last, first = torch.full((6,), 999), torch.zeros(6, dtype=torch.long)
    assert_close(process.add_noise(latent, start, last), start)
    assert_close(process.add_noise(latent, start, first), 0.001 * start + 0.999 * latent)
    middle = process.add_noise(latent, start, torch.full((6,), 499))
    assert_close(middle, (start + latent) / 2)


def test_the_velocity_leads_to_the_latent_from_anywhere() -> None:
    process, latent, start = make(), tensor(1), tensor(2)
    timestep = torch.tensor([0, 1, 250, 500, 998, 999])
    noisy = process.add_noise(latent, start, timestep)
    velocity = process.target(latent, start, timestep)
    assert_close(velocity, latent - start)
    assert_close(process.estimate_latent(velocity, noisy, timestep), latent)


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_any_number_of_steps_follows_a_straight_path_to_its_end(steps: int, spacing: str) -> None:
    latent, start = tensor(1), tensor(2)
    drawn = sample(lambda noisy, timestep: latent - start, make(), start, euler(steps, spacing))
    assert_close(drawn, latent, atol=1e-5, rtol=1e-5)


def test_steps_are_eulers() -> None:
    """z' = -z from 1 on, whose Euler steps of 1/4 are known."""
    drawn = sample(lambda noisy, timestep: -noisy, make(), torch.ones(1, 1, 1, 1), euler(4))
    assert drawn.item() == pytest.approx(0.75**4, rel=1e-5)


def test_the_denoiser_is_told_the_timesteps_that_are_visited() -> None:
    seen: list[int] = []

    def denoise(noisy: Tensor, timestep: Tensor) -> Tensor:
        seen.append(int(timestep[0]))
        return torch.zeros_like(noisy)

    sample(denoise, make(), tensor(1), euler(4))
    assert seen == [999, 749, 499, 249]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver", "unipc"])
def test_only_euler_follows_straight_paths(sampler: str) -> None:
    sampling = SamplingSettings.model_validate({**euler(2).model_dump(), "sampler": sampler})
    with pytest.raises(UserError, match=f"sampler {sampler}: a flow's paths are straight"):
        sample(lambda noisy, timestep: noisy, make(), tensor(1), sampling)


@pytest.mark.parametrize("prediction", ["epsilon", "x0"])
def test_it_predicts_the_velocity(prediction: str) -> None:
    values = {"kind": "flow", "prediction": prediction, "timesteps": 10, **BETAS}
    with pytest.raises(ValueError, match="kind: flow needs prediction: v"):
        ProcessSettings.model_validate(values)
