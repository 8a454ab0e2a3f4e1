from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.diffusion.sampling import Denoise, sample

SAMPLERS = ["ddim", "ddpm", "dpm_solver", "unipc"]
PREDICTIONS = ["epsilon", "v", "x0"]
SPACINGS = ["leading", "trailing", "linspace"]
DETERMINISTIC = ["ddim", "dpm_solver", "unipc"]
ProcessMaker = Callable[..., DiffusionProcess]


def settings(
    steps: int, spacing: str = "trailing", eta: float = 0.0, sampler: str = "ddim"
) -> SamplingSettings:
    values = {"sampler": sampler, "steps": steps, "spacing": spacing, "eta": eta}
    return SamplingSettings.model_validate(values)


def normal(seed: int) -> Tensor:
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(seed))


def knowing(process: DiffusionProcess, latent: Tensor) -> Denoise:
    """A denoiser that knows the clean latent."""

    def denoise(noisy: Tensor, timestep: Tensor) -> Tensor:
        alpha_bar = process.alpha_bar[timestep][:, None, None, None]
        noise = (noisy - alpha_bar.sqrt() * latent) / (1 - alpha_bar).sqrt()
        return process.target(latent, noise, timestep)

    return denoise


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_one_step_in_closed_form(make_process: ProcessMaker, prediction: str, eta: float) -> None:
    """Equations 12 and 16 of arXiv 2010.02502, from timestep 999 to 499."""
    process = make_process(prediction=prediction)
    noisy, predicted, fresh = normal(1), normal(2), normal(3)
    start, end = process.alpha_bar[999].double(), process.alpha_bar[499].double()
    if prediction == "epsilon":
        clean, noise = (noisy - (1 - start).sqrt() * predicted) / start.sqrt(), predicted.double()
    elif prediction == "v":
        clean = start.sqrt() * noisy - (1 - start).sqrt() * predicted
        noise = (1 - start).sqrt() * noisy + start.sqrt() * predicted
    else:
        clean, noise = predicted, (noisy - start.sqrt() * predicted) / (1 - start).sqrt()
    deviation = eta * ((1 - end) / (1 - start)).sqrt() * (1 - start / end).sqrt()
    expected = end.sqrt() * clean + (1 - end - deviation**2).sqrt() * noise + deviation * fresh

    latents = []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        latents.append((latent, timestep))
        return predicted

    sample(denoise, process, noisy, settings(2, eta=eta), generator=torch.Generator().manual_seed(3))
    assert torch.equal(latents[0][0], noisy)
    assert [timestep.tolist() for _, timestep in latents] == [[999, 999], [499, 499]]
    assert_close(latents[1][0], expected.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 3, 6, 7, 50, 99, 100])
def test_every_step_asked_for_is_run(
    make_process: ProcessMaker, steps: int, spacing: str, sampler: str
) -> None:
    """With one call of the denoiser, also by the solvers of second order."""
    process, seen = make_process(timesteps=100), []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        assert timestep.shape == (2,)
        assert timestep[0] == timestep[1]
        seen.append(int(timestep[0]))
        return latent

    drawn = sample(denoise, process, normal(0), settings(steps, spacing, sampler=sampler))
    assert drawn.shape == (2, 4, 3, 5)
    assert drawn.isfinite().all()
    assert seen == process.chain(settings(steps, spacing))[0].tolist()
    assert len(seen) == steps


@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 1.0), *((name, 0.0) for name in SAMPLERS)])
@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_an_exact_denoiser_recovers_the_clean_latent(
    make_process: ProcessMaker, prediction: str, spacing: str, sampler: str, eta: float
) -> None:
    process, clean = make_process(prediction=prediction), normal(1)
    for steps in (1, 2, 6, 7, 60):
        drawn = sample(knowing(process, clean), process, normal(2), settings(steps, spacing, eta, sampler))
        assert_close(drawn, clean, atol=2e-3, rtol=0, msg=f"{steps} steps")


@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 1.0), *((name, 0.0) for name in SAMPLERS)])
@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_an_exact_denoiser_recovers_it_from_terminal_snr_zero(
    make_process: ProcessMaker, prediction: str, sampler: str, eta: float
) -> None:
    process, clean = make_process(zero_terminal_snr=True, prediction=prediction), normal(1)
    for steps in (1, 6, 40):
        drawn = sample(knowing(process, clean), process, normal(2), settings(steps, "trailing", eta, sampler))
        assert_close(drawn, clean, atol=2e-3, rtol=0, msg=f"{steps} steps")


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_the_published_spacing_ends_at_the_first_timestep(make_process: ProcessMaker, sampler: str) -> None:
    process, clean, noise = make_process(), normal(1), normal(2)
    first = torch.tensor([831, 831])  # 1 + 5 (1000 // 6)
    start = process.add_noise(clean, noise, first)
    drawn = sample(knowing(process, clean), process, start, settings(6, "leading", sampler=sampler))
    assert_close(drawn, process.add_noise(clean, noise, torch.tensor([0, 0])), atol=2e-3, rtol=0)


@pytest.mark.parametrize("sampler", DETERMINISTIC)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_without_noise_of_its_own_a_chain_keeps_to_the_trajectory(
    make_process: ProcessMaker, spacing: str, sampler: str
) -> None:
    """Between the steps of an exact denoiser lies z_t of the same latent and noise."""
    process, clean, noise = make_process(), normal(1), normal(2)
    for steps in (6, 7, 40):
        visited, _ = process.chain(settings(steps, spacing))
        start = process.add_noise(clean, noise, visited[:1].expand(2))
        exact, seen = knowing(process, clean), []

        def denoise(
            latent: Tensor, timestep: Tensor, exact: Denoise = exact, seen: list[Tensor] = seen
        ) -> Tensor:
            seen.append(latent - process.add_noise(clean, noise, timestep))
            return exact(latent, timestep)

        sample(denoise, process, start, settings(steps, spacing, sampler=sampler))
        assert max(float(difference.abs().max()) for difference in seen) < 2e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_chain_may_begin_later(make_process: ProcessMaker, sampler: str) -> None:
    process, clean, noise = make_process(), normal(1), normal(2)
    visited, _ = process.chain(settings(6))
    start, seen = process.add_noise(clean, noise, visited[4].expand(2)), []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        seen.append(int(timestep[0]))
        return knowing(process, clean)(latent, timestep)

    drawn = sample(denoise, process, start, settings(6, sampler=sampler), first_step=4)
    assert_close(drawn, clean, atol=1e-4, rtol=0)
    assert seen == visited[4:].tolist()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("gradient_steps", [1, 2, 5, None])
def test_gradients_flow_through_the_last_steps_only(
    make_process: ProcessMaker, gradient_steps: int | None, sampler: str
) -> None:
    process = make_process()
    gains = [torch.tensor(0.5, requires_grad=True) for _ in range(5)]
    start = normal(0).requires_grad_()
    remaining = iter(gains)

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        return next(remaining) * latent

    sampling = settings(5, sampler=sampler)
    torch.manual_seed(0)
    drawn = sample(denoise, process, start, sampling, gradient_steps=gradient_steps)
    drawn.square().sum().backward()
    with_gradient = [gain.grad is not None and bool(gain.grad) for gain in gains]
    through = 5 if gradient_steps is None else gradient_steps
    assert with_gradient == [False] * (5 - through) + [True] * through
    assert (start.grad is not None) == (through == 5)
    remaining = iter(gains)
    torch.manual_seed(0)
    assert_close(drawn, sample(denoise, process, start, sampling))  # the same latent


@torch.no_grad()
def test_the_callers_mode_is_respected(make_process: ProcessMaker) -> None:
    gain = torch.tensor(0.5, requires_grad=True)
    drawn = sample(lambda latent, _: gain * latent, make_process(), normal(0), settings(3), gradient_steps=3)
    assert not drawn.requires_grad


@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 1.0), ("ddpm", 0.0)])
def test_the_generator_decides_the_noise_that_is_added(
    make_process: ProcessMaker, sampler: str, eta: float
) -> None:
    process = make_process()

    def drawn(seed: int, sampling: SamplingSettings) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sample(lambda latent, _: 0.1 * latent, process, normal(0), sampling, generator=generator)

    noisy = settings(4, eta=eta, sampler=sampler)
    assert torch.equal(drawn(1, noisy), drawn(1, noisy))
    assert not torch.allclose(drawn(1, noisy), drawn(2, noisy))
    state = torch.get_rng_state()
    drawn(1, noisy)
    assert torch.equal(state, torch.get_rng_state())  # a generator is enough


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_without_noise_the_generator_decides_nothing(make_process: ProcessMaker, sampler: str) -> None:
    process, sampling = make_process(), settings(4, sampler=sampler)
    state = torch.get_rng_state()
    drawn = [
        sample(lambda latent, _: 0.1 * latent, process, normal(0), sampling, generator=generator)
        for generator in (torch.Generator().manual_seed(1), None)
    ]
    assert torch.equal(*drawn)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_denoiser_in_half_precision_leaves_the_latent_in_float32(
    make_process: ProcessMaker, sampler: str, prediction: str
) -> None:
    process, seen = make_process(prediction=prediction), []

    def denoise(latent: Tensor, timestep: Tensor) -> Tensor:
        seen.append(latent.dtype)
        return latent.bfloat16()

    assert sample(denoise, process, normal(0), settings(3, sampler=sampler)).dtype == torch.float32
    assert set(seen) == {torch.float32}
