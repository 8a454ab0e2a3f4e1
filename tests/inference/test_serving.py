import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.inference.serving import PARAMETERS, PictureModel, requirements


class Nearest:
    """Stands in for a model: repeats pixels, and generates pictures filled with their seed."""

    def upscale(self, picture: np.ndarray, **asked: Any) -> np.ndarray:
        self.asked = asked
        height, width = asked["size"] or (round(side * asked["scale"]) for side in picture.shape[:2])
        rows = np.arange(height) * picture.shape[0] // height
        return picture[rows][:, np.arange(width) * picture.shape[1] // width]

    def generate(self, sizes: list[tuple[int, int]], **asked: Any) -> list[list[np.ndarray]]:
        self.asked = asked
        return [[np.full((*size, 3), asked["seed"], np.uint8) for size in sizes]]


PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
TWICE = PIXELS.repeat(2, 0).repeat(2, 1)


def encoded(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.fixture
def model() -> PictureModel:
    return PictureModel(Nearest())


def test_arrays_give_arrays(model: PictureModel) -> None:
    np.testing.assert_array_equal(model.predict(PIXELS, {"scale": 2.0}), TWICE)
    np.testing.assert_array_equal(model.predict(np.stack([PIXELS, PIXELS]), {"scale": 2.0})[1], TWICE)
    assert model.predict(PIXELS, {"height": 3, "width": 7}).shape == (3, 7, 3)
    assert model.predict(PIXELS.astype(np.int64), {"scale": 2}).dtype == np.uint8  # as JSON arrays arrive


@pytest.mark.parametrize(
    "table",
    [
        encoded(PIXELS),
        [encoded(PIXELS)],
        {"image": [encoded(PIXELS)]},
        np.array([encoded(PIXELS)]),
        pd.DataFrame({"image": [encoded(PIXELS)]}),
    ],
    ids=["text", "list", "mapping", "array", "table"],
)
def test_base64_gives_base64(model: PictureModel, table: Any) -> None:
    (drawn,) = model.predict(table, {"scale": 2.0})
    np.testing.assert_array_equal(decoded(drawn), TWICE)


def test_a_list_may_hold_pictures_of_any_size(model: PictureModel) -> None:
    first, second = model.predict([PIXELS, PIXELS[:2].tolist()], {"scale": 2.0})
    assert (first.shape, second.shape) == ((8, 10, 3), (4, 10, 3))


def test_the_options_reach_the_model(model: PictureModel) -> None:
    asked = {"steps": 7, "sampler": "unipc", "seed": 5, "temperature": 0.6}
    model.predict(PIXELS, {"scale": 2.0, **asked})
    assert model.model.asked == {"scale": 2.0, "size": None, "fidelity": None, **asked}
    model.predict(PIXELS, {"scale": 2.0, "fidelity": 0.25})
    assert model.model.asked["fidelity"] == 0.25
    model.predict([3], {"height": 6, "width": 9, **asked})
    assert model.model.asked == {**asked, "seed": 8}


def test_seeds_generate(model: PictureModel) -> None:
    drawn = model.predict([3, np.int64(4)], {"height": 6, "width": 9, "seed": 10})
    assert [int(decoded(text)[0, 0, 0]) for text in drawn] == [13, 14]
    assert decoded(drawn[0]).shape == (6, 9, 3)


@pytest.mark.parametrize(
    ("item", "params", "message"),
    [
        (PIXELS, {"scale": -1.0}, "params: scale: must be|params: scale: should be"),
        (PIXELS, {"scale": float("nan")}, "params: scale"),
        (PIXELS, {"height": 0, "width": 3}, "params: height"),
        (PIXELS, {"scale": 2.0, "sampler": "dpm"}, "params: sampler: must be 'ddim', 'ddpm'"),
        (PIXELS, {"height": 3}, "height and width must be given together"),
        (PIXELS, {"scale": 2.0, "steps": 0}, "params: steps"),
        (PIXELS, {"scale": 2.0, "seed": -1}, "params: seed"),
        (PIXELS, {"scale": 2.0, "temperature": -1.0}, "params: temperature"),
        (PIXELS, {"scale": 2.0, "temperature": 2.0}, "params: temperature"),
        (PIXELS, {"scale": 2.0, "temperature": float("nan")}, "params: temperature"),
        (PIXELS, {"scale": 2.0, "temperature": "x"}, "params: temperature"),
        (PIXELS, {"scal": 2.0}, "scal: unknown key; did you mean scale"),
        (PIXELS[..., :2], {"scale": 2.0}, r"must be \(height, width, 3\)"),
        (PIXELS / 2, {"scale": 2.0}, "integers of 0 to 255"),
        (PIXELS.astype(int) + 250, {"scale": 2.0}, "integers of 0 to 255"),
        ([[[1, 2, 3], [4, 5]]], {"scale": 2.0}, "neither base64 nor an array"),
        ("no base64!", {"scale": 2.0}, "must be the base64 of a picture"),
        (base64.b64encode(b"no picture").decode(), {"scale": 2.0}, "is not a picture"),
        ({"a": [1], "b": [2]}, {"scale": 2.0}, "must have one column, not 2"),
        (7, {"scale": 2.0}, "generating takes height and width"),
    ],
)
def test_wrong_requests_are_refused(
    model: PictureModel, item: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        model.predict(item, params)


def test_requirements_are_exact_and_public() -> None:
    assert all("==" in line and "+" not in line for line in requirements())
    options = {"steps", "sampler", "seed", "temperature", "fidelity"}
    assert {name for name, _, _ in PARAMETERS} == {"scale", "height", "width", *options}


def test_a_flow_is_served_with_its_temperature(save_linf: Callable[..., Path]) -> None:
    served = PictureModel(load_model(save_linf(), "cpu"))
    drawn = served.predict(PIXELS, {"scale": 2.0, "temperature": 0.6, "seed": 3})
    np.testing.assert_array_equal(drawn, served.model.upscale(PIXELS, scale=2, temperature=0.6, seed=3))
    assert (drawn != served.predict(PIXELS, {"scale": 2.0, "seed": 3})).any()


def test_models_without_a_flow_are_served_without_temperature(upscaler: Model) -> None:
    with pytest.raises(UserError, match="no flow, so no temperature"):
        PictureModel(upscaler).predict(PIXELS, {"scale": 2.0, "temperature": 0.6})
