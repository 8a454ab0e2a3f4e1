from collections.abc import Callable

import pytest
import torch
from torch.testing import assert_close

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion.sampling import sample
from arbiscale.models.folder import ModelConfig
from arbiscale.models.latent_diffusion import LatentDiffusion

FOUR_STEPS = SamplingSettings(steps=4, spacing="trailing", eta=0.0)


@pytest.fixture
def super_resolution(
    model_config: Callable[..., ModelConfig], make_model: Callable[[ModelConfig], LatentDiffusion]
) -> LatentDiffusion:
    return make_model(model_config("super_resolution"))


@pytest.fixture
def generation(
    model_config: Callable[..., ModelConfig], make_model: Callable[[ModelConfig], LatentDiffusion]
) -> LatentDiffusion:
    return make_model(model_config("generation"))


def test_latents_of_an_image_size(super_resolution: LatentDiffusion) -> None:
    image = torch.rand(2, 3, 16, 24)
    assert super_resolution.latent_shape(2, (16, 24)) == super_resolution.space.encode(image).shape


def test_only_super_resolution_has_a_condition(
    super_resolution: LatentDiffusion, generation: LatentDiffusion
) -> None:
    image = torch.rand(1, 3, 16, 24)
    expected = super_resolution.space.condition(image, 4, "bicubic")
    condition = super_resolution.condition(image)
    assert condition is not None
    assert_close(condition, expected)
    assert generation.condition(image) is None
    assert super_resolution.pair(image).condition is not None
    assert generation.pair(image).condition is None


@torch.no_grad()
def test_sampling_shows_the_denoiser_the_condition_at_every_step(super_resolution: LatentDiffusion) -> None:
    noise, condition = torch.randn(2, 4, 4, 6), torch.randn(2, 4, 4, 6)
    drawn = super_resolution.sample(noise, condition, FOUR_STEPS)
    expected = sample(
        lambda noisy, timestep: super_resolution.denoiser(noisy, timestep, condition),
        super_resolution.process,
        noise,
        FOUR_STEPS,
    )
    assert_close(drawn, expected)
    assert not torch.allclose(drawn, super_resolution.sample(noise, -condition, FOUR_STEPS), atol=1e-3)


@torch.no_grad()
def test_generation_samples_from_noise_alone(generation: LatentDiffusion) -> None:
    noise = torch.randn(2, 4, 4, 6)
    drawn = generation.sample(noise, None, FOUR_STEPS)
    assert_close(drawn[:1], generation.sample(noise[:1], None, FOUR_STEPS))  # samples do not mix
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)
