"""What every model does with pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.pixels import to_array
from arbiscale.inference import drawing_model
from arbiscale.inference.model import Model


def picture(height_px: int, width_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


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


def test_a_grey_image_stays_grey(upscaler: Model) -> None:
    grey = Image.fromarray(picture(6, 9)).convert("L")
    expected = upscaler.upscale(grey.convert("RGB"), scale=2)
    drawn = upscaler.upscale(grey, scale=2)
    assert drawn.mode == "L"
    mean = np.asarray(expected).mean(axis=2)
    assert np.abs(np.asarray(drawn) - mean).max() <= 1


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
    ("given", "said"),
    [
        ({"count": 0}, "count 0: must be a whole number"),
        ({"latent_size": (0, 4)}, "the latent would be 0x4 px"),
        ({"latent_size": 4.5}, "in whole pixels"),
    ],
)
def test_what_cannot_be_generated(generator: Model, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        generator.generate([(16, 16)], **given)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ((0, 0, 9, 4), "must lie inside the picture of 8x8 px"),
        ((-1, 0, 4, 4), "must lie inside"),
        ((2, 2, 0, 4), "must lie inside"),
        ((0, 0, 4), "in whole pixels"),
        ("all!", "in whole pixels"),
    ],
)
def test_regions_that_are_none(upscaler: Model, region: Any, said: str) -> None:
    drawing = upscaler.sample(picture(4, 4))
    for draw in (drawing.region, lambda size, part: upscaler.decode(drawing.latent, size, region=part)):
        with pytest.raises(UserError, match=said):
            draw((8, 8), region)


def test_requests_that_mean_nothing(upscaler: Model, generator: Model) -> None:
    drawing = upscaler.sample(picture(4, 4))
    latent = drawing.latent
    requests: list[tuple[str, Callable[[], object]]] = [
        ("name at least one", lambda: generator.generate([])),
        ("ask for at least 1x1", lambda: generator.generate([(0, 8)])),
        ("ask for at least 1x1", lambda: drawing.draw((0, 8))),
        ("GiB, more than is free", lambda: drawing.draw((10**7, 10**7))),
        ("in whole pixels", lambda: upscaler.decode(latent, 8)),
        ("give low_resolution=", lambda: upscaler.decode(latent, (8, 8))),
        (
            "low_resolution: must be a tensor",
            lambda: upscaler.decode(latent, (8, 8), low_resolution=torch.zeros(3, 4, 4)),
        ),
        (
            "low_resolution: must be the images that the latents are of",
            lambda: upscaler.decode(latent, (8, 8), low_resolution=torch.zeros(2, 3, 4, 4)),
        ),
        ("latents: must be a tensor", lambda: upscaler.decode(latent[0], (8, 8))),
        ("low_resolution: must be a tensor", lambda: upscaler.sample_latents(torch.zeros(3, 4, 4))),
        ("images: must be", lambda: upscaler.encode(torch.zeros(3, 8, 8))),
        ("images: sides must be multiples of 4 px", lambda: upscaler.encode(torch.zeros(1, 3, 9, 8))),
        ("seed 'a': must be", lambda: upscaler.sample(picture(4, 4), seed="a")),
        ("seed 18446744073709551616: must be", lambda: generator.generate([(8, 8)], seed=2**64)),
    ]
    for said, request in requests:
        with pytest.raises(UserError, match=said):
            request()


def test_a_short_precision_is_used_where_it_is_not_emulated(
    latent_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = latent_model()
    short.precision = "bfloat16"
    for emulated in (True, False):
        monkeypatch.setattr(
            drawing_model, "multiplied_in", lambda dtype, _, to=emulated: torch.float32 if to else dtype
        )
        with short.computing():
            assert torch.is_autocast_enabled("cpu") is not emulated
            assert not torch.is_grad_enabled()
