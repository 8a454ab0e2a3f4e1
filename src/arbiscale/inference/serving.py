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

from arbiscale.config.section import read_yaml, validate
from arbiscale.errors import UserError
from arbiscale.inference.decoding import Advance, unheard
from arbiscale.inference.requests import Limits, Request, generate, upscale
from arbiscale.models.folder import CONFIG

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
OUTPUT = "string"  # base64 of a PNG
_PACKAGES = (
    "diffusers",
    "filelock",
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
)


def requirements() -> list[str]:
    """What an environment for this module needs, at the versions installed here.

    Without a build's local part such as +cpu, which no index knows.
    """
    return [f"{package}=={metadata.version(package).partition('+')[0]}" for package in _PACKAGES]


def example(folder: Path) -> tuple[str, list[Any], dict[str, Any]]:
    """What the model of a folder is asked for: MLflow's type of an item, items, and parameters."""
    config = read_yaml(folder / CONFIG)
    if (config.get("diffusion") or {}).get("task") == "generation":
        return "long", [0], {"height": 128, "width": 160}
    shades = np.linspace(0, 255, 16 * 24 * 3).astype(np.uint8).reshape(16, 24, 3)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, "PNG")
    return "string", [base64.b64encode(stream.getvalue()).decode("ascii")], {"scale": 2.5}


def _load_pyfunc(data_path: str) -> PictureModel:
    """Load the model folder at `data_path`; MLflow's entry point."""
    from arbiscale.inference.loading import load_model

    return PictureModel(load_model(data_path))


class PictureModel:
    """Upscales pictures, or generates them from seeds, as the model was trained to."""

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        advance: Advance = unheard,
    ) -> None:
        """Draw with a model, within limits; `advance` is told the pixels of each part."""
        self.model, self.limits, self.advance = model, limits or Limits(), advance

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[str]:
        """Draw one picture for every item of the input.

        Args:
            model_input: base64 of encoded pictures (PNG, JPEG, ...) to upscale; for a generating model seeds,
                as integers. One item, a list, or a table of one column.
            params: `scale`, or `height` and `width` in pixels; `steps` of sampling and its `sampler`; `seed`;
                `temperature` of texture; `fidelity` to the picture.

        Returns:
            base64 of a PNG for each, which says what drew it.

        Raises:
            UserError: parameters out of range or contradictory, a temperature where no flow draws, a fidelity
                where there is no branch, an item that is no picture, or more than is served.
        """
        request = validate(Request, dict(params or {}), "params")
        items = _items(model_input)
        if len(items) > self.limits.items:
            raise UserError(f"the input: at most {self.limits.items} items are served at once")
        return [base64.b64encode(self._draw(item, request)).decode("ascii") for item in items]

    def _draw(self, item: Any, request: Request) -> bytes:
        if isinstance(item, str):
            return upscale(self.model, _decode(item), request, self.limits, self.advance)
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            return generate(self.model, request.seed + int(item), request, self.limits, self.advance)
        raise UserError("the input: an item must be the base64 of a picture, or a seed")


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
    items = model_input if isinstance(model_input, list) else [model_input]
    return [each for item in items for each in (item if isinstance(item, list) else [item])]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the input: a text must be the base64 of a picture") from None
