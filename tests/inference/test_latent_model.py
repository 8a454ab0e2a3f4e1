"""How latents of pictures are sampled, generated and drawn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.errors import UserError
from arbiscale.inference.latent_model import LatentModel

Maker = Callable[..., LatentModel]


def picture(height_px: int, width_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def test_the_seed_decides_the_picture(upscaler: LatentModel) -> None:
    torch.manual_seed(1)
    first = upscaler.upscale(picture(8, 8), scale=4, seed=3)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, upscaler.upscale(picture(8, 8), scale=4, seed=3))
    assert (first != upscaler.upscale(picture(8, 8), scale=4, seed=4)).any()


def test_the_seed_decides_the_samplers_noise_too(latent_model: Maker) -> None:
    noisy = latent_model(steps=4, eta=1.0)
    drawn = [noisy.upscale(picture(8, 8), scale=2, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


def test_steps_may_be_asked_for(upscaler: LatentModel) -> None:
    six = upscaler.upscale(picture(8, 8), scale=4, steps=6)
    assert (six != upscaler.upscale(picture(8, 8), scale=4)).any()
    for steps, said in ((0, "sampling: steps: must be"), (101, "101 sampling steps: ask for 1 to 100")):
        with pytest.raises(UserError, match=said):
            upscaler.upscale(picture(8, 8), scale=4, steps=steps)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver", "unipc", "euler"])
def test_a_sampler_may_be_asked_for(latent_model: Maker, sampler: Sampler) -> None:
    """As a model of that sampler draws."""
    other = SamplingSettings(sampler=sampler, steps=3, spacing="trailing", eta=0.0)
    for task, draw in (
        ("super_resolution", lambda model, **asked: model.upscale(picture(8, 8), scale=4, **asked)),
        ("generation", lambda model, **asked: model.generate([(16, 16)], **asked)[0][0]),
    ):
        model = latent_model(task)
        drawn = draw(model, steps=3, sampler=sampler)
        if sampler != "euler":  # which equals ddim
            assert (drawn != draw(model, steps=3)).any()
        model.sampling = other
        np.testing.assert_array_equal(drawn, draw(model))


def test_ddims_noise_is_no_other_samplers(latent_model: Maker, upscaler: LatentModel) -> None:
    noisy = latent_model(eta=1.0)
    assert noisy.sampling.but(sampler="unipc").eta == 0
    with pytest.raises(UserError, match="eta must be 0 with sampler: unipc"):
        upscaler.upscale(picture(8, 8), scale=2, sampler="unipc", eta=0.5)
    with pytest.raises(UserError, match="sampling: sampler: must be 'ddim', 'ddpm', "):
        upscaler.upscale(picture(8, 8), scale=2, sampler="dpm")


def test_odd_sides_are_padded_not_stretched(upscaler: LatentModel) -> None:
    """What an edge's padding adds stays out of the latent, so its size follows the picture's."""
    latent = upscaler.sample_latents(torch.rand(2, 3, 5, 7))
    assert latent.shape == (2, 4, 5, 7)  # factor 4 over f 4
    even = torch.rand(1, 3, 6, 8)
    assert upscaler.sample_latents(even).shape == (1, 4, 6, 8)


def test_a_region_is_that_part_of_the_whole(upscaler: LatentModel) -> None:
    low_resolution = torch.rand(1, 3, 6, 8) * 2 - 1
    latent, size = upscaler.sample_latents(low_resolution), (31, 45)
    whole = upscaler.decode(latent, size, low_resolution=low_resolution)
    part = upscaler.decode(latent, size, region=(10, 3, 17, 40), low_resolution=low_resolution)
    assert_close(part, whole[..., 10:27, 3:43], atol=1e-6, rtol=0)


def test_a_decoder_that_draws_nothing_is_pils_bicubic(latent_model: Maker) -> None:
    model = latent_model()
    with torch.no_grad():
        for parameter in model.head.output.parameters():
            parameter.zero_()
    small = picture(12, 20)
    drawn = model.upscale(small, size=(33, 71))
    for channel in range(3):  # as floats: between the axes of 8-bit pictures, PIL rounds
        plane = Image.fromarray(small[..., channel].astype(np.float32))
        expected = np.asarray(plane.resize((71, 33), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(drawn[..., channel] - expected).max() < 0.501


def test_encoding_and_decoding_without_diffusion(latent_model: Maker) -> None:
    model = latent_model("reconstruction")
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    latent = model.encode(image)
    assert latent.shape == (2, 4, 4, 6)
    low_resolution = torch.rand(2, 3, 4, 6)
    drawn = model.decode(latent, (20, 30), low_resolution=low_resolution)
    assert drawn.shape == (2, 3, 20, 30)
    assert not drawn.requires_grad


@pytest.mark.parametrize(
    ("size", "latent_size"),
    [((128, 128), (8, 8)), ((64, 64), (8, 8)), ((400, 100), (16, 4)), ((10, 4000), (2, 32))],
)
def test_latents_keep_the_trained_area_in_the_pictures_proportions(
    generator: LatentModel, size: tuple[int, int], latent_size: tuple[int, int]
) -> None:
    assert generator.latent_size_for(size) == latent_size


def test_a_model_of_several_shapes_draws_a_latent_for_each(generator: LatentModel) -> None:
    shapes = {"training_latent_shapes": ["6x10", "10x6"]}
    diffusion = generator.config.diffusion.model_copy(update=shapes)
    generator.config = generator.config.model_copy(update={"diffusion": diffusion})
    sizes = [(24, 40), (40, 24), (48, 80), (60, 60)]
    assert generator.sharing_latents(sizes) == [[(24, 40), (48, 80), (60, 60)], [(40, 24)]]
    assert [generator.latent_size_for(size) for size in sizes] == [(6, 10), (10, 6), (6, 10), (8, 8)]
    ((wide, high, larger, _),) = generator.generate(sizes, seed=3)
    assert np.array_equal(wide, generator.generate([(24, 40)], seed=3)[0][0])
    assert np.array_equal(high, generator.generate([(40, 24)], seed=3)[0][0])
    assert larger.shape == (48, 80, 3)
    ((stretched,),) = generator.generate([(40, 24)], seed=3, latent_size=(6, 10))
    assert not np.array_equal(high, stretched)


def test_latent_sizes_are_rounded_up_to_what_the_network_takes(generator: LatentModel) -> None:
    assert generator.generate_latents(2, (5, 8)).shape == (2, 4, 6, 8)
    assert generator.generate([(9, 9)], latent_size=(3, 4))[0][0].shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("super_resolution", "this model was made for super_resolution, not for generation"),
        ("reconstruction", "this model was made for reconstruction, not for generation"),
    ],
)
def test_generating_needs_a_model_for_it(latent_model: Maker, task: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        latent_model(task).generate([(16, 16)])


@pytest.mark.parametrize("task", ["generation", "reconstruction"])
def test_upscaling_needs_a_model_for_it(latent_model: Maker, task: str) -> None:
    with pytest.raises(UserError, match=f"this model was made for {task}, not for super_resolution; give"):
        latent_model(task).upscale(picture(4, 4), scale=2)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_equal_inputs_of_a_batch_get_the_noise_of_their_own_seeds(latent_model: Maker, sampler: str) -> None:
    """A19: one generator drew for the batch, so what a picture got depended on its place in it."""
    model = latent_model(sampler=sampler, steps=3, eta=1.0 if sampler == "ddim" else 0.0)
    low = torch.rand(1, 3, 6, 8) * 2 - 1
    latents = model.sample_latents(low.expand(3, -1, -1, -1), seed=[5, 9, 5])
    assert torch.equal(latents[0], latents[2])
    assert (latents[0] - latents[1]).abs().max() > 0.1
    assert_close(latents[1:2], model.sample_latents(low, seed=9), atol=1e-5, rtol=1e-5)
    following = model.sample_latents(low.expand(2, -1, -1, -1), seed=8)
    assert_close(following[1:], latents[1:2], atol=1e-5, rtol=1e-5)


def test_seeds_are_one_or_one_a_picture(upscaler: LatentModel) -> None:
    with pytest.raises(UserError, match=r"seeds: give one, or one a picture \(2\), not 3"):
        upscaler.sample_latents(torch.rand(2, 3, 6, 8), seed=[1, 2, 3])
    with pytest.raises(UserError, match="seed -1: must be"):
        upscaler.sample_latents(torch.rand(2, 3, 6, 8), seed=[1, -1])
