"""The registered model as MLflow serves it: what `mlflow.pyfunc.load_model(...)` calls.

MLflow loads it by `_load_pyfunc`; it runs wherever the model was deployed, and never imports MLflow.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydantic import Field

from arbiscale.config.sampling import Sampler
from arbiscale.config.section import Section, validate
from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image

if TYPE_CHECKING:
    from arbiscale.inference.model import Model

# Name, MLflow type and default of each inference parameter
PARAMETERS: tuple[tuple[str, str, int | str | None], ...] = (
    ("scale", "double", None),
    ("height", "long", None),
    ("width", "long", None),
    ("steps", "long", None),
    ("sampler", "string", None),
    ("seed", "long", 0),
    ("temperature", "double", None),
    ("fidelity", "double", None),
)
_PACKAGES = (
    "diffusers",
    "mlflow",
    "numpy",
    "pillow",
    "psutil",
    "pydantic",
    "pyvips",
    "pyvips-binary",
    "ruamel.yaml",
    "safetensors",
    "torch",
    "torchvision",
)


class _Request(Section):
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    height: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=10_000)
    sampler: Sampler | None = None
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    fidelity: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels, if asked for."""
        return None if self.height is None or self.width is None else (self.height, self.width)


def requirements() -> list[str]:
    """What an environment for this module needs, at the versions installed here.

    Without a build's local part such as +cpu, which no index knows.
    """
    return [f"{package}=={metadata.version(package).partition('+')[0]}" for package in _PACKAGES]


def _load_pyfunc(data_path: str) -> PictureModel:
    """Load the model folder at `data_path`; MLflow's entry point."""
    from arbiscale.inference.loading import load_model

    return PictureModel(load_model(data_path))


class PictureModel:
    """Upscales pictures, or generates them from seeds, as the model was trained to."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Draw one picture for every item of the input.

        Args:
            model_input: pictures to upscale, as uint8 (height, width, 3) or (batch, height, width, 3), or
                as base64 of an encoded picture (PNG, JPEG, ...); for a generating model seeds, as integers.
                One item, a list, or a table of one column.
            params: `scale`, or `height` and `width` in pixels; `steps` of sampling and its `sampler`; `seed`;
                `temperature` of texture; `fidelity` to the picture.

        Returns:
            Arrays for an array, else a list: base64 of a PNG for base64 and seeds, an array for an array.

        Raises:
            UserError: parameters out of range or contradictory, a temperature where no flow draws, a fidelity
                where there is no branch, or an item that is no picture.
        """
        request = validate(_Request, dict(params or {}), Path("params"))
        if (request.height is None) != (request.width is None):
            raise UserError("params: height and width must be given together")
        if isinstance(model_input, np.ndarray) and model_input.ndim in {3, 4}:
            batch = model_input if model_input.ndim == 4 else model_input[None]
            drawn = np.stack([self._upscale(_pixels(picture), request) for picture in batch])
            return drawn if model_input.ndim == 4 else drawn[0]
        return [self._draw(item, request) for item in _items(model_input)]

    def _draw(self, item: Any, request: _Request) -> np.ndarray | str:
        if isinstance(item, str):
            return _encode(self._upscale(_decode(item), request))
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            if request.size is None or request.scale is not None:
                raise UserError("params: generating takes height and width, and no scale")
            seed = request.seed + int(item)
            ((drawn,),) = self.model.generate(
                [request.size],
                steps=request.steps,
                sampler=request.sampler,
                seed=seed,
                temperature=request.temperature,
            )
            return _encode(drawn)
        return self._upscale(_pixels(item), request)

    def _upscale(self, picture: np.ndarray, request: _Request) -> np.ndarray:
        return np.asarray(
            self.model.upscale(
                picture,
                scale=request.scale,
                size=request.size,
                steps=request.steps,
                sampler=request.sampler,
                seed=request.seed,
                temperature=request.temperature,
                fidelity=request.fidelity,
            )
        )


def _items(model_input: Any) -> list[Any]:
    """The items of a list, of a mapping or table with one column, or of anything else as the only one."""
    if hasattr(model_input, "to_dict"):  # a pandas table, as MLflow's server makes of `dataframe_split`
        model_input = model_input.to_dict("list")
    if isinstance(model_input, Mapping):
        if len(model_input) != 1:
            raise UserError(f"the input: must have one column, not {len(model_input)}")
        (model_input,) = model_input.values()
    if isinstance(model_input, np.ndarray):
        model_input = model_input.tolist()
    return model_input if isinstance(model_input, list) else [model_input]


def _pixels(item: Any) -> np.ndarray:
    """8-bit RGB of anything shaped (height, width, 3) that holds integers of 0 to 255."""
    try:
        pixels = np.asarray(item)
    except ValueError:  # rows of unequal length
        raise UserError("the input: is neither base64 nor an array (height, width, 3)") from None
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UserError(f"the input: must be (height, width, 3), not {pixels.shape}")
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise UserError("the input: must hold integers of 0 to 255")
    return pixels.astype(np.uint8)


def _decode(text: str) -> np.ndarray:
    try:
        encoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the input: a text must be the base64 of a picture") from None
    return read_image(io.BytesIO(encoded))


def _encode(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
