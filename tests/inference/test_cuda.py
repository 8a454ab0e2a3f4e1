"""Drawing on a CUDA device, where there is one, beside drawing on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.models.folder import ModelConfig
from arbiscale.models.latent_diffusion import LatentDiffusion

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean, in 8-bit levels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def on(device: str, config: ModelConfig, network: LatentDiffusion, sampler: str) -> LatentModel:
    sampling = SamplingSettings.model_validate(
        {"sampler": sampler, "steps": 3, "spacing": "trailing", "eta": 0.0}
    )
    return LatentModel(config, network.to(device), torch.device(device), "float32", sampling)


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_every_sampler_draws_as_on_the_cpu(
    sampler: str,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    photo: np.ndarray,
) -> None:
    """The noise is the CPU's own, so that pictures differ by rounding alone."""
    config = model_config()
    expected = np.asarray(on("cpu", config, make_model(config), sampler).upscale(photo, scale=2.3, seed=1))
    model = on("cuda", config, make_model(config), sampler)
    assert difference(np.asarray(model.upscale(photo, scale=2.3, seed=1)), expected) < 0.5
    tiled = on("cpu", config, make_model(config), sampler).upscale(photo, scale=2.3, seed=1, tile=32)
    model = on("cuda", config, make_model(config), sampler)
    assert difference(np.asarray(model.upscale(photo, scale=2.3, seed=1, tile=32)), np.asarray(tiled)) < 0.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_shipped_model_draws_as_on_the_cpu(precision: str, photo: np.ndarray) -> None:
    expected = np.asarray(load_model("pretrained", "cpu").upscale(photo, scale=3.7))
    drawn = np.asarray(load_model("pretrained", "cuda", precision=precision).upscale(photo, scale=3.7))
    assert difference(drawn, expected) < (0.05 if precision == "float32" else 0.5)
