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
from arbiscale.files import sha256_of
from arbiscale.imaging.provenance import read_record
from arbiscale.imaging.reading import read_metadata
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.inference.requests import Limits
from arbiscale.inference.serving import PARAMETERS, PictureModel, example, requirements
from arbiscale.workspace import SHIPPED_MODEL

PIXELS = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)


def encoded(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


PICTURE = encoded(PIXELS)


@pytest.fixture
def model(upscaler: Model) -> PictureModel:
    return PictureModel(upscaler)


@pytest.mark.parametrize(
    "table",
    [
        PICTURE,
        [PICTURE],
        {"image": [PICTURE]},
        np.array([PICTURE]),
        pd.DataFrame({"image": [PICTURE]}),
        pd.DataFrame({"image": [[PICTURE]]}),
    ],
    ids=["text", "list", "mapping", "array", "table", "nested"],
)
def test_pictures_are_upscaled(model: PictureModel, table: Any) -> None:
    (drawn,) = model.predict(table, {"scale": 2.0, "seed": 3})
    np.testing.assert_array_equal(decoded(drawn), model.model.upscale(PIXELS, scale=2.0, seed=3))


def test_a_list_may_hold_pictures_of_any_size(model: PictureModel) -> None:
    first, second = model.predict([PICTURE, encoded(PIXELS[:4])], {"height": 9, "width": 7})
    assert decoded(first).shape == decoded(second).shape == (9, 7, 3)


def test_the_options_reach_the_model(model: PictureModel) -> None:
    asked = {"steps": 3, "sampler": "unipc", "seed": 5}
    (drawn,) = model.predict([PICTURE], {"scale": 2.0, **asked})
    np.testing.assert_array_equal(decoded(drawn), model.model.upscale(PIXELS, scale=2.0, **asked))


def test_grey_and_alpha_stay(model: PictureModel) -> None:
    with_alpha = np.dstack([PIXELS, PIXELS[..., :1]])
    (drawn,) = model.predict([encoded(with_alpha)], {"scale": 2.0})
    assert decoded(drawn).shape == (16, 20, 4)
    (drawn,) = model.predict([encoded(PIXELS[..., 0])], {"scale": 2.0})
    assert decoded(drawn).shape == (16, 20)


def test_seeds_generate(generator: Model) -> None:
    model = PictureModel(generator)
    first, second = model.predict([3, np.int64(4)], {"height": 16, "width": 24, "seed": 10})
    ((expected,),) = generator.generate([(16, 24)], seed=14)
    np.testing.assert_array_equal(decoded(second), expected)
    assert (decoded(first) != expected).any()


def test_what_is_served_says_what_drew_it(tmp_path: Path) -> None:
    model = PictureModel(load_model(SHIPPED_MODEL, "cpu"))
    (drawn,) = model.predict([PICTURE], {"scale": 2.5, "fidelity": 1.0})
    (tmp_path / "in.png").write_bytes(base64.b64decode(PICTURE))
    (tmp_path / "out.png").write_bytes(base64.b64decode(drawn))
    record = read_record(read_metadata(tmp_path / "out.png"))
    assert record["input_sha256"] == sha256_of(tmp_path / "in.png")
    assert (record["scale"], record["size"], record["fidelity"]) == ("2.5", "20x25", "1.0")
    assert record["model_sha256"] == model.model.origin.sha256


@pytest.mark.parametrize(
    ("item", "params", "message"),
    [
        (PICTURE, {"scale": -1.0}, "params: scale: must be|params: scale: should be"),
        (PICTURE, {"scale": float("nan")}, "params: scale"),
        (PICTURE, {"height": 0, "width": 3}, "params: height"),
        (PICTURE, {"scale": 2.0, "sampler": "dpm"}, "params: sampler: must be 'ddim', 'ddpm'"),
        (PICTURE, {"height": 3}, "height and width must be given together"),
        (PICTURE, {"scale": 2.0, "height": 3, "width": 3}, "either a scale or a size"),
        (PICTURE, {"scale": 2.0, "steps": 0}, "params: steps"),
        (PICTURE, {"scale": 2.0, "steps": 9999}, "steps 9999: at most 250 are served"),
        (PICTURE, {"scale": 2.0, "seed": -1}, "params: seed"),
        (PICTURE, {"scale": 2.0, "temperature": -1.0}, "params: temperature"),
        (PICTURE, {"scale": 2.0, "temperature": 2.0}, "params: temperature"),
        (PICTURE, {"scale": 2.0, "temperature": float("nan")}, "params: temperature"),
        (PICTURE, {"scale": 2.0, "temperature": "x"}, "params: temperature"),
        (PICTURE, {"scale": 2.0, "temperature": 0.6}, "no flow, so no temperature"),
        (PICTURE, {"scal": 2.0}, "scal: unknown key; did you mean scale"),
        (PICTURE, {"height": 100_000, "width": 100_000}, "100000x100000 px: at most 67,108,864 pixels"),
        (PICTURE, {"scale": 1e9}, "pixels are served"),
        ("no base64!", {"scale": 2.0}, "must be the base64 of a picture"),
        (base64.b64encode(b"no picture").decode(), {"scale": 2.0}, "the picture: is not a picture"),
        (PICTURE[: len(PICTURE) // 8 * 4], {"scale": 2.0}, "is truncated"),
        ({"a": [1], "b": [2]}, {"scale": 2.0}, "must have one column, not 2"),
        ([PICTURE] * 17, {"scale": 2.0}, "at most 16 items"),
        (1.5, {"scale": 2.0}, "an item must be the base64 of a picture, or a seed"),
        (True, {"scale": 2.0}, "an item must be the base64 of a picture, or a seed"),
        (7, {"scale": 2.0}, "generating takes height and width"),
        (7, {"height": 16, "width": 16}, "made for super_resolution, not for generation"),
    ],
)
def test_wrong_requests_are_refused(
    model: PictureModel, item: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        model.predict(item, params)
    assert "\n" not in str(error.value)


def test_large_pictures_are_refused_before_they_are_decoded(
    upscaler: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PictureModel(upscaler, Limits(input_px=79))
    monkeypatch.setattr("arbiscale.inference.requests.read_picture", None)
    with pytest.raises(UserError, match="the picture: at most 79 pixels are taken"):
        model.predict([PICTURE], {"scale": 1.0})


def test_requirements_are_exact_and_public() -> None:
    assert all("==" in line and "+" not in line for line in requirements())
    options = {"steps", "sampler", "seed", "temperature", "fidelity"}
    assert {name for name, _, _ in PARAMETERS} == {"scale", "height", "width", *options}


def test_the_example_is_one_that_is_answered(model: PictureModel, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    kind, items, parameters = example(tmp_path)
    (drawn,) = model.predict(items, parameters)
    assert (kind, decoded(drawn).shape) == ("string", (40, 60, 3))
    (tmp_path / "config.json").write_text('{"diffusion": {"task": "generation"}}')
    assert example(tmp_path)[0] == "long"


def test_a_flow_is_served_with_its_temperature(save_linf: Callable[..., Path]) -> None:
    served = PictureModel(load_model(save_linf(), "cpu"))
    asked = {"scale": 2.0, "temperature": 0.6, "seed": 3}
    (drawn,) = served.predict([PICTURE], asked)
    np.testing.assert_array_equal(decoded(drawn), served.model.upscale(PIXELS, **asked))
    assert drawn != served.predict([PICTURE], {"scale": 2.0, "seed": 3})[0]
