"""Both alignments: the image's loss reaches the denoiser through the decoder; only what shall learn does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.align import AlignSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import AlignmentTraining, SampleAlignment, TimestepAlignment
from arbiscale.training.fit import fit

ALIGNMENTS = [TimestepAlignment, SampleAlignment]
TASKS = ["super_resolution", "generation"]
Alignment = Callable[[AlignSettings, LatentDiffusion, str], AlignmentTraining]
SettingsMaker = Callable[..., AlignSettings]
ModelMaker = Callable[..., LatentDiffusion]


def gradients(module: AlignmentTraining) -> set[str]:
    """Which networks have a gradient that is not zero."""
    return {
        name.removeprefix("model.").removeprefix("space.autoencoder.").split(".")[0]
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_the_images_loss_reaches_the_denoiser_through_the_frozen_decoder(
    alignment: Alignment, task: str, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    module = alignment(align_settings(latent_weight=0.0), model(task), "").train()
    losses = module.losses(images)
    assert losses.keys() == {"loss", "latent", "image"}
    assert_close(losses["loss"], losses["image"])
    losses["image"].backward()
    assert gradients(module) == {"denoiser"}


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_frozen_decoder_in_evaluation_mode_still_passes_gradients(
    alignment: Alignment, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    module = alignment(align_settings(), model(), "").eval()
    module.losses(images)["image"].backward()
    assert gradients(module) == {"denoiser"}


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_the_decoder_learns_where_it_has_a_rate_and_the_encoder_never(
    alignment: Alignment, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    module = alignment(align_settings(decoder_lr=1e-4), model(), "").train()
    assert {name: rate for name, (_, rate) in module.learning().items()} == {
        "denoiser": 1e-3,
        "decoder": 1e-4,
    }
    module.losses(images)["loss"].backward()
    assert gradients(module) == {"denoiser", "decoder"}


@pytest.mark.parametrize(("decoder_lr", "changing"), [(0.0, {"denoiser"}), (1e-3, {"denoiser", "decoder"})])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_what_is_frozen_stays_to_the_bit(
    alignment: Alignment,
    task: str,
    decoder_lr: float,
    changing: set[str],
    align_settings: SettingsMaker,
    model: ModelMaker,
    images: Tensor,
    crops: Callable[..., Any],
    runtime: RuntimeSettings,
    recorder: Any,
    tmp_path: Path,
) -> None:
    module = alignment(align_settings(decoder_lr=decoder_lr), model(task), "")
    before = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
    fit(
        module,
        crops(),
        [images],
        runtime=runtime.model_copy(update={"validate_every_steps": 6, "checkpoint_every_steps": 99}),
        seed=0,
        scratch=tmp_path,
        recorder=recorder,
    )
    changed = {
        name.removeprefix("space.autoencoder.").split(".")[0]
        for name, tensor in module.model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == changing


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_timesteps_are_aligned_by_equations_7_to_9_with_each_samples_weight(
    prediction: str, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    settings = align_settings(
        decode_px=64, weight_clamp=2.0, grid_weight=0.0, latent_weight=0.3, image_weight=0.7, image_norm="l2"
    )
    diffusion = model("super_resolution", prediction)
    module = TimestepAlignment(settings, diffusion, "")
    images = images.repeat(4, 1, 1, 1)
    torch.manual_seed(9)
    losses = module.losses(images)

    torch.manual_seed(9)
    pair, latent = diffusion.pair(images), diffusion.space.encode(images)
    timestep = torch.randint(100, (8,))
    noisy = diffusion.process.add_noise(latent, torch.randn_like(latent), timestep)
    predicted = diffusion.denoiser(noisy, timestep, pair.condition)
    estimate = diffusion.process.estimate_latent(predicted, noisy, timestep)
    drawn = diffusion.space.decode(estimate, (32, 32), low=pair.low)
    latent_term, image_term = torch.zeros(()), torch.zeros(())
    weights = []
    for index in range(8):
        alpha_bar = diffusion.process.alpha_bar[timestep[index]]
        weights.append(min(2.0, float(alpha_bar / (1 - alpha_bar))))
        latent_term = latent_term + weights[-1] * (estimate[index] - latent[index]).square().mean() / 8
        image_term = image_term + weights[-1] * (drawn[index] - images[index]).square().mean() / 8
    assert len(set(weights)) > 2
    assert max(weights) == 2.0
    assert_close(losses["latent"], latent_term)
    assert_close(losses["image"], image_term)
    assert_close(losses["loss"], 0.3 * latent_term + 0.7 * image_term)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_pattern_at_the_latent_grid_costs(
    alignment: Alignment, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    values = []
    for weight in (0.0, 1.0, 2.0):
        module = alignment(align_settings(grid_weight=weight), model(), "")
        torch.manual_seed(9)
        values.append(module.losses(images)["image"].detach())
    assert values[1] > values[0]
    assert_close(values[2] - values[1], values[1] - values[0])


def test_super_resolutions_samples_are_drawn_from_noise(
    align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    settings, diffusion = align_settings(decode_px=64, image_weight=3.0, grid_weight=0.0), model()
    torch.manual_seed(9)
    losses = SampleAlignment(settings, diffusion, "").losses(images)
    torch.manual_seed(9)
    pair = diffusion.pair(images)
    noise = torch.randn(2, 4, 8, 8)
    latent = diffusion.sample(noise, pair.condition, settings.samples.sampling)
    drawn = diffusion.space.decode(latent, (32, 32), low=pair.low)
    assert_close(losses["image"], (drawn - images).abs().mean())
    assert_close(losses["latent"], (latent - diffusion.space.encode(images)).square().mean())
    assert_close(losses["loss"], 3 * losses["image"])


def test_generations_chain_begins_at_the_images_own_latent(
    align_settings: SettingsMaker, model: ModelMaker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, diffusion = align_settings(), model("generation")
    module, calls = SampleAlignment(settings, diffusion, ""), []
    sample = diffusion.sample

    def watched(start: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        calls.append((start, keywords["first_step"], keywords["gradient_steps"]))
        return sample(start, *arguments, **keywords)

    monkeypatch.setattr(diffusion, "sample", watched)
    torch.manual_seed(9)
    module.losses(images)
    torch.manual_seed(9)
    latent = diffusion.space.encode(images)
    visited, _ = diffusion.process.chain(settings.samples.sampling)
    expected = diffusion.process.add_noise(latent, torch.randn_like(latent), visited[1].expand(2))
    ((start, first_step, gradient_steps),) = calls
    assert_close(start, expected)
    assert (first_step, gradient_steps) == (1, 2)  # the last 2 of 3


@pytest.mark.parametrize("gradient_steps", [1, 2, 3])
def test_gradients_flow_through_the_steps_asked_for(
    align_settings: SettingsMaker,
    model: ModelMaker,
    images: Tensor,
    gradient_steps: int,
) -> None:
    samples = align_settings().samples.model_dump() | {"gradient_steps": gradient_steps}
    diffusion = model()
    module, modes = SampleAlignment(align_settings(samples=samples), diffusion, ""), []
    diffusion.denoiser.register_forward_pre_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    module.losses(images)
    assert modes == [False] * (3 - gradient_steps) + [True] * gradient_steps


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver", "unipc", "euler"])
def test_chains_of_any_sampler_are_aligned(
    align_settings: SettingsMaker, model: ModelMaker, images: Tensor, sampler: str, task: str
) -> None:
    samples = align_settings().samples.model_dump()
    samples["sampling"] |= {"sampler": sampler}
    module = SampleAlignment(align_settings(samples=samples), model(task), "")
    losses = module.losses(images)
    losses["image"].backward()
    assert losses["image"].isfinite()
    assert gradients(module) == {"denoiser"}


@torch.no_grad()
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_validation_runs_inferences_chain(
    alignment: Alignment, align_settings: SettingsMaker, model: ModelMaker, images: Tensor
) -> None:
    validation = alignment(align_settings(), model(), "").eval().validate(images)
    assert validation.metrics.keys() == {"psnr"}
    assert validation.images["samples"].shape == (64, 64, 3)
    assert not alignment(align_settings(), model("generation"), "").eval().validate(images).metrics


def test_beside_a_branch_only_what_reads_the_latent_learns(
    model: Callable[..., LatentDiffusion], align_settings: Callable[..., AlignSettings], images: Tensor
) -> None:
    diffusion = model(branch={"width": 8, "blocks": 1})
    module = SampleAlignment(align_settings(decoder_lr=1e-3), diffusion, "")
    module.losses(images)["loss"].backward()
    decoder = diffusion.space.autoencoder.decoder
    learnt = {name.split(".")[0] for name, weight in decoder.named_parameters() if weight.grad is not None}
    assert learnt == {"feature_decoder"}
    assert module.learning().keys() == {"denoiser", "decoder"}
