"""Low-resolution pictures as photographs come: strengths in their units, and a function of (seed, sample)."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.degradation import RealisticSettings
from arbiscale.data.degradation import Degradation
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from tests.conftest import photograph

NEVER = {"probability": 0.0}
SIZE = (16, 16)


def degradation(seed: int = 0, **steps: Any) -> Degradation:
    """One round of what is named, always; of nothing else."""
    settings: dict[str, Any] = {"rounds": 1, **dict.fromkeys(("resize", "blur", "noise", "jpeg"), NEVER)}
    for name, step in steps.items():
        settings[name] = {"probability": 1.0} | step if isinstance(step, dict) else step
    return Degradation(RealisticSettings.model_validate(settings), seed)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.cat([to_tensor(photograph(64, 64, seed)) for seed in range(4)])


def test_a_sample_is_a_function_of_seed_and_number(images: Tensor) -> None:
    chain = Degradation(RealisticSettings(), 0)
    whole = chain(images, SIZE, [8, 9, 10, 11])
    halves = [chain(images[2:], SIZE, [10, 11]), chain(images[:2], SIZE, [8, 9])]
    assert torch.equal(whole, torch.cat(halves[::-1]))
    same = images[:1].expand(3, -1, -1, -1)
    first, second, again = chain(same, SIZE, ["a", "b", "a"])
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, Degradation(RealisticSettings(), 1)(same[:1], SIZE, ["a"])[0])


def test_it_travels_to_loading_processes(images: Tensor) -> None:
    chain = Degradation(RealisticSettings(), 3)
    before = chain(images, SIZE, range(4))
    assert torch.equal(pickle.loads(pickle.dumps(chain))(images, SIZE, range(4)), before)


def test_results_are_what_a_file_holds(images: Tensor) -> None:
    low = Degradation(RealisticSettings(), 0)(images, (11, 23), range(4))
    assert low.shape == (4, 3, 11, 23)
    assert low.dtype == torch.float32
    levels = (low + 1) * 127.5
    assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert float(levels.min()) >= 0
    assert float(levels.max()) <= 255


def test_without_any_step_pictures_are_shrunk_by_either_kernel() -> None:
    rough = torch.rand(1, 3, 64, 64) - 0.5
    found = set()
    for number in range(20):
        low = degradation()(rough, SIZE, [number])
        errors = {
            kernel: float((low - resize(rough, SIZE, kernel)).abs().max())
            for kernel in ("bilinear", "bicubic")
        }
        best = min(errors, key=lambda kernel: errors[kernel])
        assert errors[best] < 1.01 / 255  # half a level, of two
        found.add(best)
    assert found == {"bilinear", "bicubic"}


@pytest.mark.parametrize("sigma_px", [0.7, 1.5, 2.0])
def test_sigma_is_the_blurs_deviation_in_pixels(sigma_px: float) -> None:
    line = torch.full((1, 3, 33, 33), -1.0)
    line[..., 16] = 1
    places = torch.arange(33) - 16.0
    for image in (line, line.mT):
        low = degradation(blur={"sigma_px": [sigma_px] * 2})(image, (33, 33), [0])
        profile = (low[0] + 1).sum((0, 1 if image is line else 2))
        profile = profile / profile.sum()
        assert float((profile * places).sum()) == pytest.approx(0, abs=1e-3)
        assert float((profile * places**2).sum()) ** 0.5 == pytest.approx(sigma_px, abs=0.04)


@pytest.mark.parametrize("deviation", [0.5, 2.0, 10.0])
def test_noise_is_in_grey_levels(deviation: float) -> None:
    """Albumentations cuts off fractions of a level on 8-bit pixels: 4.6 came of 5."""
    grey = torch.full((1, 3, 128, 128), 1 / 255)
    low = degradation(noise={"deviation": [deviation] * 2, "grey": 0.0})(grey, (128, 128), [0])
    levels = (low[0] - grey[0]) * 127.5
    assert float(levels.mean()) == pytest.approx(0, abs=0.1)
    assert float(levels.std()) == pytest.approx((deviation**2 + 1 / 12) ** 0.5, rel=0.03)
    colours = torch.corrcoef(levels.flatten(1))
    assert float((colours - torch.eye(3)).abs().max()) < 0.05


def test_noise_of_brightness_is_that_of_all_colours() -> None:
    grey = torch.zeros(1, 3, 32, 32)
    shares = dict.fromkeys((0.0, 0.5, 1.0), 0)
    for share in shares:
        chain = degradation(noise={"deviation": [9.0, 9.0], "grey": share})
        for low in chain(grey.expand(40, -1, -1, -1), (32, 32), range(40)):
            assert float(low.std()) > 0
            shares[share] += torch.equal(low[0], low[1]) and torch.equal(low[1], low[2])
    assert shares[0.0] == 0
    assert 10 <= shares[0.5] <= 30
    assert shares[1.0] == 40


@pytest.mark.parametrize("quality", [20, 60, 95])
def test_compression_is_that_of_a_jpeg_file(quality: int) -> None:
    """Albumentations hands red to OpenCV as blue: its luma weighed the colours wrongly."""
    pixels = photograph(64, 64, 1)
    pixels[8:24, 8:24] = (250, 20, 30)
    pixels[30:50, 10:30] = (20, 30, 250)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    low = degradation(jpeg={"quality": [quality] * 2})(to_tensor(pixels), (64, 64), [0])
    difference = to_array(low).astype(int) - np.asarray(Image.open(file)).astype(int)
    assert np.abs(difference).max() <= 2
    assert np.abs(to_array(low).astype(int) - pixels).mean() > 0.5


def test_rounds_at_twice_the_low_resolution_are_averaged_away() -> None:
    grey = torch.zeros(1, 3, 128, 128)
    noise = {"deviation": [8.0, 8.0], "grey": 0.0}
    at = {
        factor: degradation(noise=noise, resize={"factors": [factor] * 2})(grey, (64, 64), range(1))
        for factor in (1.0, 2.0, 4.0)
    }
    assert float(at[1.0].std()) * 127.5 == pytest.approx(8, rel=0.05)
    assert float(at[2.0].std()) * 127.5 < 6
    assert torch.equal(at[4.0], at[2.0])  # never larger than what there is


def test_rounds_repeat_the_steps() -> None:
    grey = torch.zeros(1, 3, 64, 64)
    noise = {"deviation": [6.0, 6.0], "grey": 0.0}
    low = degradation(noise=noise, rounds=4)(grey, (64, 64), [0])
    assert float(low.std()) * 127.5 == pytest.approx(12, rel=0.05)


def test_each_step_has_its_probability() -> None:
    grey = torch.zeros(200, 3, 4, 4)
    chain = degradation(noise={"probability": 0.3, "deviation": [20.0, 20.0]})
    changed = sum(float(low.std()) > 0.02 for low in chain(grey, (4, 4), range(200)))
    assert 35 <= changed <= 85  # 60 expected; four standard deviations are 26


def test_the_smallest_pictures(images: Tensor) -> None:
    chain = Degradation(RealisticSettings(), 0)
    assert chain(images, (1, 2), range(4)).shape == (4, 3, 1, 2)
    assert chain(images[..., :1, :1], (1, 1), range(4)).shape == (4, 3, 1, 1)


def test_every_image_is_a_sample(images: Tensor) -> None:
    with pytest.raises(ValueError, match="zip"):
        Degradation(RealisticSettings(), 0)(images, SIZE, [1, 2])


def test_in_words() -> None:
    settings = RealisticSettings.model_validate({"rounds": 3, "blur": NEVER, "resize": NEVER})
    assert str(settings) == "3 x [60% noise (1 to 8 grey levels), 80% JPEG (quality 40 to 95)]"
    nothing = dict.fromkeys(("resize", "blur", "noise", "jpeg"), NEVER)
    assert str(RealisticSettings.model_validate(nothing)) == "2 x [nothing]"
