from collections.abc import Callable

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.diffusion import ProcessSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError

ProcessMaker = Callable[..., DiffusionProcess]


@pytest.fixture
def latent() -> Tensor:
    return torch.randn(6, 4, 3, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(6, 4, 3, 5, generator=torch.Generator().manual_seed(2))


TIMESTEPS = torch.tensor([0, 1, 250, 500, 998, 999])


def test_betas_are_linear_in_their_square_root(make_process: ProcessMaker) -> None:
    alpha_bar = make_process().alpha_bar.double()
    betas = 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
    assert len(betas) == 1000
    assert_close(betas[0].item(), 0.0015, atol=1e-6, rtol=0)
    assert_close(betas[-1].item(), 0.0155, atol=1e-5, rtol=0)
    middle = ((0.0015**0.5 + 0.0155**0.5) / 2) ** 2
    assert_close(betas[499:501].mean().item(), middle, atol=1e-5, rtol=0)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
@pytest.mark.parametrize(
    ("timesteps", "start", "end"), [(1000, 1e-4, 0.015), (50, 0.0015, 0.2), (2, 0.1, 0.1)]
)
def test_signal_equals_diffusers(
    make_process: ProcessMaker, timesteps: int, start: float, end: float, zero_terminal_snr: bool
) -> None:
    process = make_process(
        timesteps=timesteps, beta_start=start, beta_end=end, zero_terminal_snr=zero_terminal_snr
    )
    scheduler = DDPMScheduler(
        num_train_timesteps=timesteps,
        beta_start=start,
        beta_end=end,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=zero_terminal_snr,
    )
    assert_close(process.alpha_bar, scheduler.alphas_cumprod, atol=1e-6, rtol=1e-4)
    assert (process.alpha_bar.diff() < 0).all()


def test_zero_terminal_snr_keeps_the_first_timestep(make_process: ProcessMaker) -> None:
    plain, rescaled = make_process().alpha_bar, make_process(zero_terminal_snr=True).alpha_bar
    assert rescaled[-1] == 0
    assert_close(rescaled[0], plain[0])
    roots = [alpha_bar.double().sqrt() for alpha_bar in (plain, rescaled)]
    stretch = (roots[1][:1] - roots[1][1:]) / (roots[0][:1] - roots[0][1:])
    assert_close(stretch, torch.full_like(stretch, float(stretch[-1])), atol=0, rtol=1e-3)


def test_signal_is_configuration_and_stands_in_no_checkpoint(make_process: ProcessMaker) -> None:
    assert not make_process().state_dict()


def test_noisy_latents_keep_variance(make_process: ProcessMaker, latent: Tensor, noise: Tensor) -> None:
    process = make_process()
    noisy = process.add_noise(latent, noise, TIMESTEPS)
    for index, timestep in enumerate(TIMESTEPS):
        alpha_bar = process.alpha_bar[timestep]
        expected = alpha_bar.sqrt() * latent[index] + (1 - alpha_bar).sqrt() * noise[index]
        assert_close(noisy[index], expected)


def test_targets_in_closed_form(make_process: ProcessMaker, latent: Tensor, noise: Tensor) -> None:
    assert make_process(prediction="epsilon").target(latent, noise, TIMESTEPS) is noise
    assert make_process(prediction="x0").target(latent, noise, TIMESTEPS) is latent
    process = make_process(prediction="v")
    angle = process.alpha_bar[TIMESTEPS].sqrt().arccos()[:, None, None, None]
    assert_close(
        process.target(latent, noise, TIMESTEPS),
        angle.cos() * noise - angle.sin() * latent,  # the derivative of z_t by the angle
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize(
    ("prediction", "zero_terminal_snr"),
    [("epsilon", False), ("v", False), ("v", True), ("x0", False), ("x0", True)],
)
def test_a_perfect_prediction_gives_back_the_latent(
    make_process: ProcessMaker, latent: Tensor, noise: Tensor, prediction: str, zero_terminal_snr: bool
) -> None:
    process = make_process(prediction=prediction, zero_terminal_snr=zero_terminal_snr)
    noisy = process.add_noise(latent, noise, TIMESTEPS)
    predicted = process.target(latent, noise, TIMESTEPS)
    assert_close(process.estimate_latent(predicted, noisy, TIMESTEPS), latent, atol=1e-4, rtol=0)


def test_noise_error_is_the_latents_weighted_by_the_ratio(
    make_process: ProcessMaker, latent: Tensor, noise: Tensor
) -> None:
    """Equation 8 of arXiv 2403.10255: ||eps - eps_hat||^2 = a / (1 - a) ||z0 - z0_hat||^2."""
    process = make_process(prediction="epsilon")
    noisy = process.add_noise(latent, noise, TIMESTEPS)
    predicted = noise + 0.3 * torch.randn_like(noise)
    estimate = process.estimate_latent(predicted, noisy, TIMESTEPS)
    noise_error = (noise - predicted).square().sum((1, 2, 3))
    latent_error = (latent - estimate).square().sum((1, 2, 3))
    assert_close(noise_error, process.snr(TIMESTEPS) * latent_error, atol=0, rtol=1e-3)


def test_timesteps_are_drawn_from_all(make_process: ProcessMaker) -> None:
    torch.manual_seed(0)
    drawn = make_process(timesteps=7).draw_timesteps(500)
    assert drawn.unique().tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("timesteps", [2, 10, 100, 999, 1000])
def test_a_chain_has_the_steps_asked_for(make_process: ProcessMaker, timesteps: int, spacing: str) -> None:
    process = make_process(timesteps=timesteps)
    counts = {1, 2, 3, 4, 6, 7, 50, 99, 200, 333, 500, 501, 600, 998, timesteps - 1, timesteps}
    for steps in sorted(count for count in counts if 1 <= count <= timesteps):
        visited, ends = process.chain(SamplingSettings(steps=steps, spacing=spacing, eta=0.0))
        assert len(visited) == len(ends) == steps
        assert (visited.diff() < 0).all(), steps
        assert visited[-1] >= 0
        assert_close(ends[:-1], process.alpha_bar[visited[1:]])  # each step ends where the next begins
        if spacing == "leading":
            assert ends[-1] == (process.alpha_bar[0] if steps < timesteps else 1)  # never a step of nothing
        else:
            assert visited[0] == timesteps - 1
            assert ends[-1] == 1


@pytest.mark.parametrize(
    ("spacing", "visited"),
    [
        ("leading", [801, 601, 401, 201, 1]),
        ("trailing", [999, 799, 599, 399, 199]),
        ("linspace", [999, 749, 500, 250, 0]),
    ],
)
def test_spacings(make_process: ProcessMaker, spacing: str, visited: list[int]) -> None:
    sampling = SamplingSettings(steps=5, spacing=spacing, eta=0.0)
    assert make_process().chain(sampling)[0].tolist() == visited


@pytest.mark.parametrize("steps", [0, 11])
def test_other_step_counts_are_refused(make_process: ProcessMaker, steps: int) -> None:
    sampling = SamplingSettings(steps=1, spacing="leading", eta=0.0).model_copy(update={"steps": steps})
    with pytest.raises(UserError, match=f"{steps} sampling steps: ask for 1 to 10, the model's timesteps"):
        make_process(timesteps=10).chain(sampling)


def test_epsilon_says_nothing_at_terminal_snr_zero() -> None:
    with pytest.raises(ValueError, match="zero_terminal_snr needs prediction: v or x0"):
        ProcessSettings(
            timesteps=10, beta_start=0.1, beta_end=0.2, zero_terminal_snr=True, prediction="epsilon"
        )
