"""The model that the package ships: clearly better than bicubic on photographs that it never saw."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

import arbiscale
from arbiscale.errors import UserError
from arbiscale.inference.model import Model


@pytest.fixture(scope="module")
def shipped() -> Model:
    return arbiscale.load_model("pretrained", "cpu")


def decibels(drawn: np.ndarray, truth: np.ndarray) -> float:
    error = (drawn.astype(float) - truth).clip(-255, 255)[8:-8, 8:-8]
    return float(10 * np.log10(255**2 / (error**2).mean()))


@pytest.mark.parametrize(("scale", "gain"), [(2, 1.2), (2.5, 1.0), (4, 0.8)])
def test_it_is_better_than_bicubic(shipped: Model, scale: float, gain: float) -> None:
    gains = []
    for picture in (data.astronaut()[:160, 160:320], data.chelsea()[60:220, 100:260]):
        truth = Image.fromarray(picture)
        low = truth.resize((round(160 / scale),) * 2, Image.Resampling.BICUBIC)
        bicubic = np.asarray(low.resize((160, 160), Image.Resampling.BICUBIC))
        drawn = np.asarray(shipped.upscale(low, size=(160, 160), fidelity=1))
        gains.append(decibels(drawn, picture) - decibels(bicubic, picture))
    assert np.mean(gains) > gain, gains


def test_flat_areas_stay_flat(shipped: Model) -> None:
    for level in (0, 127, 255):
        drawn = shipped.upscale(np.full((24, 24, 3), level, np.uint8), scale=4, fidelity=1)
        assert np.abs(drawn.astype(int) - level).max() <= 1


def test_it_describes_itself(shipped: Model) -> None:
    assert shipped.task == "super_resolution"
    assert shipped.has_branch
    with pytest.raises(UserError, match="not for generation"):
        shipped.generate([(64, 64)])
