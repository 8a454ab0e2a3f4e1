"""Texture at a temperature: what a flow draws by bands, regions and tiles, and who has none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model

SIZES = [(67, 130), (56, 72), (30, 40), (1, 1)]


@pytest.fixture(scope="module")
def flow_model(model_config: Callable[..., Any], make_model: Callable[..., Any]) -> Callable[..., Model]:
    """Makes latent diffusion models, of a task, whose decoder's head is a flow; 2 steps."""

    def make(task: str = "super_resolution", patch_px: int = 1) -> Model:
        head = {"kind": "flow", "width": 16, "layers": 2, "frequencies": 8, "patch_px": patch_px}
        config = model_config(task, head=head)
        sampling = SamplingSettings(steps=2, spacing="trailing", eta=0.0)
        return LatentModel(config, make_model(config), torch.device("cpu"), "float32", sampling)

    return make


@pytest.fixture(scope="module", params=["linf", "linf of patches", "latent", "latent of patches"])
def model(
    request: pytest.FixtureRequest, save_linf: Callable[..., Path], flow_model: Callable[..., Model]
) -> Model:
    kind, *patches = request.param.split(" of ")
    patch_px = 3 if patches else 1
    if kind == "latent":
        return flow_model(patch_px=patch_px)
    return load_model(save_linf(patch_px=patch_px), "cpu")


@pytest.fixture
def deep(photo: np.ndarray) -> np.ndarray:
    """The photograph in 16 bits, which show more of a difference."""
    return photo.astype(np.uint16) * 257


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("tile", ["none", 32])
def test_bands_and_regions_are_the_whole_to_the_bit(
    model: Model, deep: np.ndarray, monkeypatch: pytest.MonkeyPatch, tile: str | int, temperature: float
) -> None:
    drawing = model.sample(deep, tile=tile, seed=3)
    for height, width in SIZES:
        whole = drawing.draw((height, width), temperature=temperature)
        for rows in (2, 7):
            monkeypatch.setattr(decoding_module, "_BAND_PIXELS", rows * width)
            bands = list(drawing.bands((height, width), temperature=temperature))
            assert len(bands) == -(-height // rows)
            np.testing.assert_array_equal(np.concatenate(bands), whole)
        monkeypatch.undo()
        top, left, down, right = height // 2, width // 3, -(-height // 3), -(-width // 2)
        part = drawing.region((height, width), (top, left, down, right), temperature=temperature)
        np.testing.assert_array_equal(part, whole[top : top + down, left : left + right])


def test_the_seed_decides_the_texture_and_the_temperature_how_much(model: Model, photo: np.ndarray) -> None:
    drawing = model.sample(photo, seed=3)
    smooth, rough, rougher = (drawing.draw((99, 200), temperature=each) for each in (0, 0.4, 0.8))
    np.testing.assert_array_equal(rough, model.upscale(photo, size=(99, 200), seed=3, temperature=0.4))
    deviation = [np.std(drawn.astype(float) - smooth) for drawn in (rough, rougher)]
    assert deviation[0] > 1
    assert 1.8 < deviation[1] / deviation[0] < 2.2
    drawing.seed = 4
    np.testing.assert_array_equal(drawing.draw((99, 200), temperature=0), smooth)
    assert (drawing.draw((99, 200), temperature=0.4) != rough).mean() > 0.5


def test_what_is_drawn_is_what_the_model_decodes(model: Model, photo: np.ndarray) -> None:
    low_resolution = to_tensor(photo)
    latent = model.sample_latents(low_resolution, seed=3)
    image = model.decode(latent, (99, 200), low_resolution=low_resolution, temperature=0.7, seed=3)
    drawn = model.sample(photo, seed=3).draw((99, 200), temperature=0.7)
    difference = np.abs(drawn.astype(int) - to_array(image))
    assert difference.max() <= 1  # rounding at one half
    assert (difference > 0).mean() < 1e-3


def test_texture_does_not_touch_alpha(model: Model, photo: np.ndarray) -> None:
    drawing = model.sample(Picture(photo, photo[..., 0].clip(1)))
    drawn = drawing.draw((99, 200), temperature=0.7)
    np.testing.assert_array_equal(drawn[..., :3], model.upscale(photo, size=(99, 200), temperature=0.7))
    np.testing.assert_array_equal(drawn[..., 3], drawing.draw((99, 200), temperature=0)[..., 3])


@pytest.mark.parametrize("patch_px", [1, 3])
def test_tiles_of_a_linf_leave_no_seams(save_linf: Callable[..., Path], patch_px: int) -> None:
    linf = load_model(save_linf(patch_px=patch_px), "cpu")
    low = np.random.default_rng(0).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    whole, tiled = (linf.upscale(low, scale=1.7, temperature=0.7, tile=tile) for tile in ("none", 40))
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_a_model_may_have_a_temperature_of_its_own(save_linf: Callable[..., Path], photo: np.ndarray) -> None:
    own, other = load_model(save_linf(temperature=0.6), "cpu"), load_model(save_linf(), "cpu")
    np.testing.assert_array_equal(
        own.upscale(photo, scale=2), other.upscale(photo, scale=2, temperature=np.float32(0.6))
    )
    np.testing.assert_array_equal(own.upscale(photo, scale=2, temperature=0), other.upscale(photo, scale=2))


@pytest.mark.parametrize("patch_px", [1, 3])
def test_generated_pictures_have_texture(flow_model: Callable[..., Model], patch_px: int) -> None:
    model = flow_model("generation", patch_px)
    (first,), (second,) = model.generate([(40, 52)], count=2, seed=5, temperature=0.7)
    ((again,),) = model.generate([(40, 52)], seed=6, temperature=0.7)
    np.testing.assert_array_equal(second, again)
    ((smooth,),) = model.generate([(40, 52)], seed=6, temperature=0)
    assert np.abs(smooth.astype(int) - second).mean() > 1
    latent = model.generate_latents(1, model.latent_size_for((40, 52)), seed=5)
    np.testing.assert_array_equal(first, to_array(model.decode(latent, (40, 52), temperature=0.7, seed=5)))


@pytest.mark.parametrize("temperature", [-1, 2, float("nan"), "x", 1.5, [0.5]])
def test_temperatures_that_are_none(
    save_linf: Callable[..., Path], photo: np.ndarray, temperature: Any
) -> None:
    linf = load_model(save_linf(), "cpu")
    with pytest.raises(UserError, match=r"temperature .*: must be a number from 0 to 1"):
        linf.upscale(photo, scale=2, temperature=temperature)


def test_models_without_a_flow_refuse_before_the_work(
    upscaler: LatentModel, generator: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not upscaler.has_texture
    zero = upscaler.upscale(photo, scale=2, temperature=0)
    np.testing.assert_array_equal(zero, upscaler.upscale(photo, scale=2))
    monkeypatch.setattr(upscaler, "sample", lambda *given, **more: pytest.fail("a latent was sampled"))
    with pytest.raises(UserError, match="this model has no flow, so no temperature"):
        upscaler.upscale(photo, scale=2, temperature=0.5)
    monkeypatch.setattr(generator, "generate_latents", lambda *given, **more: pytest.fail("sampled"))
    with pytest.raises(UserError, match="this model has no flow, so no temperature"):
        generator.generate([(8, 8)], temperature=0.5)
