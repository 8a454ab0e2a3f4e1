from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from arbiscale.checkpoint import FirstStageConfig, save_autoencoder
from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.diffusion_checkpoint import ModelConfig, save_latent_diffusion
from arbiscale.errors import UserError
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.model import Model, load_model, target_size
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.pixels import to_array

ConfigMaker = Callable[..., ModelConfig]
ModelMaker = Callable[[ModelConfig], LatentDiffusion]

QUICK = SamplingSettings(steps=2, spacing="trailing", eta=0.0)


def picture(height_px: int, width_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, model_config: ConfigMaker, make_model: ModelMaker
) -> Path:
    """Model folders of each task, named by it."""
    folder = tmp_path_factory.mktemp("models")
    for task in ("super_resolution", "generation"):
        config = model_config(task)
        save_latent_diffusion(folder / task, config, make_model(config))
    network = model_config().autoencoder
    first_stage = FirstStageConfig(factor=4, autoencoder=network)
    save_autoencoder(folder / "reconstruction", first_stage, Autoencoder(network))
    return folder


@pytest.fixture(scope="module")
def upscaler(folder: Path) -> Model:
    return load_model(folder / "super_resolution", "cpu", sampling=QUICK)


@pytest.fixture(scope="module")
def generator(folder: Path) -> Model:
    return load_model(folder / "generation", "cpu", sampling=QUICK)


def test_a_model_says_what_it_is(folder: Path) -> None:
    for task in ("super_resolution", "generation", "reconstruction"):
        model = load_model(str(folder / task), "cpu")
        assert (model.task, model.factor, model.downsampling) == (task, 4, 4)
        assert model.device == torch.device("cpu")
        assert not any(parameter.requires_grad for parameter in model.autoencoder.parameters())


def test_the_sampler_is_the_one_given_or_the_folders_or_the_default(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    own = SamplingSettings(steps=7, spacing="leading", eta=0.5)
    config = model_config()
    for name, sampling in (("with", own), ("without", None)):
        update = config.model_copy(update={"sampling": sampling})
        save_latent_diffusion(tmp_path / name, update, make_model(config))
    assert load_model(tmp_path / "with", "cpu").sampling == own
    assert load_model(tmp_path / "without", "cpu").sampling.steps == 50
    assert load_model(tmp_path / "with", "cpu", sampling=QUICK).sampling == QUICK


@pytest.mark.parametrize("size", [(48, 80), (47, 81), (13, 19), (5, 200), (12, 20), (1, 1)])
def test_any_output_size(upscaler: Model, size: tuple[int, int]) -> None:
    assert upscaler.upscale(picture(12, 20), size=size).shape == (*size, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3), (16, 8)])
def test_any_input_size(upscaler: Model, size: tuple[int, int]) -> None:
    assert upscaler.upscale(picture(*size), scale=3.0).shape == (3 * size[0], 3 * size[1], 3)


def test_each_axis_may_have_its_own_scale(upscaler: Model) -> None:
    assert upscaler.upscale(picture(10, 7), scale=(1.25, 4.0)).shape == (12, 28, 3)  # 12.5: half to even


def test_type_in_is_type_out(upscaler: Model) -> None:
    array = picture(6, 9)
    drawn = upscaler.upscale(array, scale=2)
    image = upscaler.upscale(Image.fromarray(array), scale=2)
    assert isinstance(drawn, np.ndarray)
    assert drawn.dtype == np.uint8
    assert isinstance(image, Image.Image)
    assert image.size == (18, 12)
    np.testing.assert_array_equal(np.asarray(image), drawn)


def test_a_grey_image_is_taken_as_colour(upscaler: Model) -> None:
    grey = Image.fromarray(picture(6, 9)).convert("L")
    expected = upscaler.upscale(grey.convert("RGB"), scale=2)
    np.testing.assert_array_equal(np.asarray(upscaler.upscale(grey, scale=2)), np.asarray(expected))


def test_the_seed_decides_the_picture(upscaler: Model) -> None:
    torch.manual_seed(1)
    first = upscaler.upscale(picture(8, 8), scale=4, seed=3)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, upscaler.upscale(picture(8, 8), scale=4, seed=3))
    assert (first != upscaler.upscale(picture(8, 8), scale=4, seed=4)).any()


def test_the_seed_decides_the_samplers_noise_too(folder: Path) -> None:
    noisy = load_model(
        folder / "super_resolution", "cpu", sampling=QUICK.model_copy(update={"eta": 1.0, "steps": 4})
    )
    drawn = [noisy.upscale(picture(8, 8), scale=2, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


def test_steps_may_be_asked_for(upscaler: Model) -> None:
    six = upscaler.upscale(picture(8, 8), scale=4, steps=6)
    assert (six != upscaler.upscale(picture(8, 8), scale=4)).any()
    for steps, said in ((0, "sampling: steps: must be"), (101, "101 sampling steps: ask for 1 to 100")):
        with pytest.raises(UserError, match=said):
            upscaler.upscale(picture(8, 8), scale=4, steps=steps)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver", "unipc", "euler"])
def test_a_sampler_may_be_asked_for(upscaler: Model, generator: Model, sampler: Sampler) -> None:
    """As a model of that sampler draws."""
    other = SamplingSettings(sampler=sampler, steps=3, spacing="trailing", eta=0.0)
    for model, draw in (
        (upscaler, lambda model, **asked: model.upscale(picture(8, 8), scale=4, **asked)),
        (generator, lambda model, **asked: model.generate([(16, 16)], **asked)[0][0]),
    ):
        drawn = draw(model, steps=3, sampler=sampler)
        own, model.sampling = model.sampling, other
        expected = draw(model)
        model.sampling = own
        np.testing.assert_array_equal(drawn, expected)
        if sampler != "euler":  # which equals ddim
            assert (drawn != draw(model, steps=3)).any()


def test_ddims_noise_is_no_other_samplers(folder: Path, upscaler: Model) -> None:
    noisy = load_model(folder / "super_resolution", "cpu", sampling=QUICK.model_copy(update={"eta": 1.0}))
    assert noisy.settings(sampler="unipc").eta == 0
    with pytest.raises(UserError, match="eta must be 0 with sampler: unipc"):
        upscaler.upscale(picture(8, 8), scale=2, sampler="unipc", eta=0.5)
    with pytest.raises(UserError, match="sampling: sampler: must be 'ddim', 'ddpm', "):
        upscaler.upscale(picture(8, 8), scale=2, sampler="dpm")


def test_odd_sides_are_padded_not_stretched(upscaler: Model) -> None:
    """What an edge's padding adds stays out of the latent, so its size follows the picture's."""
    latent = upscaler.sample_latents(torch.rand(2, 3, 5, 7))
    assert latent.shape == (2, 4, 5, 7)  # factor 4 over f 4
    even = torch.rand(1, 3, 6, 8)
    assert upscaler.sample_latents(even).shape == (1, 4, 6, 8)


def test_a_region_is_that_part_of_the_whole(upscaler: Model) -> None:
    low_resolution = torch.rand(1, 3, 6, 8) * 2 - 1
    latent, size = upscaler.sample_latents(low_resolution), (31, 45)
    base = upscaler.base(low_resolution, size)
    whole = upscaler.decode(latent, size, base=base)
    part = upscaler.decode(latent, size, region=(10, 3, 17, 40), base=base)
    assert_close(part, whole[..., 10:27, 3:43], atol=1e-6, rtol=0)


def test_a_decoder_that_draws_nothing_is_pils_bicubic(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    config = model_config()
    model = make_model(config)
    with torch.no_grad():
        for parameter in model.space.autoencoder.decoder.head.output.parameters():
            parameter.zero_()
    save_latent_diffusion(tmp_path / "model", config, model)
    small = picture(12, 20)
    drawn = load_model(tmp_path / "model", "cpu", sampling=QUICK).upscale(small, size=(33, 71))
    for channel in range(3):  # as floats: between the axes of 8-bit pictures, PIL rounds
        plane = Image.fromarray(small[..., channel].astype(np.float32))
        expected = np.asarray(plane.resize((71, 33), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(drawn[..., channel] - expected).max() < 0.501


def test_encoding_and_decoding_without_diffusion(folder: Path) -> None:
    model = load_model(folder / "reconstruction", "cpu")
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    latent = model.encode(image)
    assert latent.shape == (2, 4, 4, 6)
    low_resolution = torch.rand(2, 3, 4, 6)
    drawn = model.decode(latent, (20, 30), base=model.base(low_resolution, (20, 30)))
    assert drawn.shape == (2, 3, 20, 30)
    assert not drawn.requires_grad


def test_several_sizes_of_one_latent(generator: Model) -> None:
    sizes = [(32, 32), (40, 56), (17, 9)]
    pictures = generator.generate(sizes, count=2, seed=5)
    assert [[each.shape[:2] for each in one] for one in pictures] == [sizes, sizes]
    assert pictures[0][0].dtype == np.uint8
    latent = generator.generate_latents(1, generator.latent_size_for((32, 32)), seed=5)
    np.testing.assert_array_equal(to_array(generator.decode(latent, (40, 56))), pictures[0][1])


def test_picture_i_of_a_seed_does_not_depend_on_the_count(generator: Model) -> None:
    three = generator.generate([(16, 16)], count=3, seed=5)
    one = generator.generate([(16, 16)], count=1, seed=7)
    np.testing.assert_array_equal(three[2][0], one[0][0])
    assert (three[0][0] != three[1][0]).any()


@pytest.mark.parametrize(
    ("size", "latent_size"),
    [((128, 128), (8, 8)), ((64, 64), (8, 8)), ((400, 100), (16, 4)), ((10, 4000), (2, 160))],
)
def test_latents_keep_the_trained_area_in_the_pictures_proportions(
    generator: Model, size: tuple[int, int], latent_size: tuple[int, int]
) -> None:
    assert generator.latent_size_for(size) == latent_size


def test_latent_sizes_are_rounded_up_to_what_the_network_takes(generator: Model) -> None:
    assert generator.generate_latents(2, (5, 8)).shape == (2, 4, 6, 8)
    assert generator.generate([(9, 9)], latent_size=(3, 4))[0][0].shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("super_resolution", "this model was made for super_resolution, not for generation"),
        ("reconstruction", "this model was made for reconstruction, not for generation"),
    ],
)
def test_generating_needs_a_model_for_it(folder: Path, task: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_model(folder / task, "cpu").generate([(16, 16)])


@pytest.mark.parametrize("task", ["generation", "reconstruction"])
def test_upscaling_needs_a_model_for_it(folder: Path, task: str) -> None:
    with pytest.raises(UserError, match=f"this model was made for {task}, not for super_resolution; give"):
        load_model(folder / task, "cpu").upscale(picture(4, 4), scale=2)


def test_an_output_size_from_a_scale_or_a_size() -> None:
    assert target_size((10, 20), 2.7, None) == (27, 54)
    assert target_size((10, 20), (0.5, 3.0), None) == (5, 60)
    assert target_size((10, 20), None, (7, 9)) == (7, 9)
    for scale, size in ((None, None), (2.0, (4, 4))):
        with pytest.raises(UserError, match="give either a scale or a size"):
            target_size((10, 20), scale, size)
    with pytest.raises(UserError, match="the output would be 0x1 px; ask for at least 1x1"):
        target_size((10, 20), 0.04, None)


def test_a_published_file_is_refused_with_the_command_that_makes_a_model_of_it(tmp_path: Path) -> None:
    file = tmp_path / "liif.pth"
    file.write_bytes(b"weights")
    with pytest.raises(UserError, match=f"{file}: is a file.*arbiscale import-checkpoint {file} --to DIR"):
        load_model(file)


def test_no_model_and_no_device_are_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="nothing: is not a model folder"):
        load_model(tmp_path / "nothing", "cpu")
    with pytest.raises(UserError, match="device 'gpu': is none of auto"):
        load_model(folder / "generation", "gpu")
