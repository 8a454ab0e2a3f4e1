from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.align import AlignSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import TimestepAlignment
from arbiscale.training.diffusion import DiffusionTraining, preview_sampling


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("task", ["super_resolution", "generation"])
def test_the_loss_is_the_predictions_squared_error(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    images: Tensor,
    task: str,
    prediction: str,
) -> None:
    diffusion = model(task, prediction)
    module = DiffusionTraining(training_settings(), 1e-3, diffusion)
    torch.manual_seed(5)
    loss = module.losses(images)["loss"]
    torch.manual_seed(5)
    latent = diffusion.space.encode(images)
    timestep = torch.randint(100, (2,))
    noise = torch.randn_like(latent)
    noisy = diffusion.process.add_noise(latent, noise, timestep)
    condition = diffusion.pair(images).condition
    predicted = diffusion.denoiser(noisy, timestep, condition)
    expected = {
        "epsilon": noise,
        "x0": latent,
        "v": diffusion.process.target(latent, noise, timestep),
    }[prediction]
    assert_close(loss, (predicted - expected).square().mean())


def test_only_the_denoiser_learns(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    images: Tensor,
) -> None:
    module = DiffusionTraining(training_settings(), 1e-3, model())
    module.losses(images)["loss"].backward()
    with_gradient = {name.split(".")[1] for name, each in module.named_parameters() if each.grad is not None}
    assert with_gradient == {"denoiser"}
    assert module.learning()["denoiser"] == (module.model.denoiser, 1e-3)
    assert module.state_dict().keys() == {f"model.{name}" for name in module.model.state_dict()}


@torch.no_grad()
def test_validation_of_super_resolution_has_a_truth_to_compare_with(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    images: Tensor,
) -> None:
    super_resolution = DiffusionTraining(training_settings(), 1e-3, model()).validate(images)
    bins = {
        "loss_timesteps_000-024",
        "loss_timesteps_025-049",
        "loss_timesteps_050-074",
        "loss_timesteps_075-099",
    }
    assert super_resolution.metrics.keys() == {"loss", "psnr", *bins}
    mean = sum(super_resolution.metrics[name] for name in bins) / 4
    assert super_resolution.metrics["loss"] == pytest.approx(mean)
    assert super_resolution.images["samples"].shape == (64, 64, 3)
    generation = DiffusionTraining(training_settings(), 1e-3, model("generation")).validate(images)
    assert generation.metrics.keys() == {"loss", *bins}
    assert generation.images["samples"].shape == (32, 64, 3)


@torch.no_grad()
def test_validation_takes_every_bin_at_its_own_timesteps(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    images: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = DiffusionTraining(training_settings(), 1e-3, model())
    seen = []

    def errors(condition: Tensor | None, latent: Tensor, timestep: Tensor) -> Tensor:
        seen.append(timestep.tolist())
        return timestep.float()

    monkeypatch.setattr(module, "_errors", errors)
    metrics = module.validate(images).metrics
    assert seen == [[6, 18], [31, 43], [56, 68], [81, 93]]
    assert metrics["loss_timesteps_025-049"] == 37


@torch.no_grad()
@pytest.mark.parametrize(("timesteps", "steps"), [(2, 2), (7, 7), (1000, 8)])
def test_a_preview_takes_no_more_steps_than_the_process_has(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    align_settings: Callable[..., AlignSettings],
    images: Tensor,
    timesteps: int,
    steps: int,
) -> None:
    diffusion = model()
    process = diffusion.process.settings.model_copy(update={"timesteps": timesteps})
    diffusion.process = DiffusionProcess(process)
    assert preview_sampling(diffusion.process).steps == steps
    for module in (
        DiffusionTraining(training_settings(), 1e-3, diffusion),
        TimestepAlignment(align_settings(), diffusion, ""),
    ):
        assert module.validate(images).images["samples"].shape == (64, 64, 3)


def test_a_flow_learns_the_velocity_from_the_condition(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    images: Tensor,
) -> None:
    diffusion = model(kind="flow", branch={"width": 8, "blocks": 1})
    module = DiffusionTraining(training_settings(), 1e-3, diffusion)
    torch.manual_seed(5)
    loss = module.losses(images)["loss"]
    torch.manual_seed(5)
    latent = diffusion.space.encode(images)
    timestep = torch.randint(100, (2,))
    condition = diffusion.pair(images).condition
    assert condition is not None
    start = condition[:, :4] + 0.1 * torch.randn_like(latent)
    share = (1 - (timestep + 1) / 100)[:, None, None, None]
    predicted = diffusion.denoiser((1 - share) * start + share * latent, timestep, condition)
    assert_close(loss, (predicted - (latent - start)).square().mean())


def test_a_flows_validation_draws_by_euler(
    model: Callable[..., LatentDiffusion], training_settings: Callable[..., TrainingSettings], images: Tensor
) -> None:
    module = DiffusionTraining(training_settings(), 1e-3, model(kind="flow"))
    assert preview_sampling(module.model.process).sampler == "euler"
    assert module.validate(images).metrics.keys() >= {"loss", "psnr"}
