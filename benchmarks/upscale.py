"""From a picture to a larger picture, the way a user asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from arbiscale.config.params import Params
from arbiscale.inference.loading import load_model
from arbiscale.models.folder import save_latent_diffusion
from arbiscale.training.untrained import untrained_model
from benchmarks.figures import Figure
from benchmarks.measure import median_seconds, peak_mib

SCALE, STEPS = 4.0, 4


def upscaling(model: Path, name: str, side_px: int, device: torch.device, runs: int) -> Iterator[Figure]:
    """Time and memory of upscaling a square picture with the model of a folder."""
    ready = partial(prepare, model, side_px, device)
    title = f"upscale {side_px} px x{SCALE:g}, {name}"
    yield Figure(title, "s", median_seconds(ready(), runs, device))
    yield Figure(title, "peak memory above the loaded model, MiB", peak_mib(ready, device))


def upscaling_at_random(
    params: Params, name: str, side_px: int, device: torch.device, runs: int
) -> Iterator[Figure]:
    """The same with a model of these sizes and random weights, which draws in 4 steps."""
    config, model = untrained_model(params)
    sampling = params.evaluate.sampling.model_copy(update={"steps": STEPS, "spacing": "trailing", "eta": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        save_latent_diffusion(Path(folder, "model"), config.model_copy(update={"sampling": sampling}), model)
        yield from upscaling(Path(folder, "model"), f"networks of {name}", side_px, device, runs)


def prepare(model: Path, side_px: int, device: torch.device) -> Callable[[], object]:
    """A loaded model upscaling a picture of noise, ready to be called."""
    picture = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    return partial(load_model(model, str(device)).upscale, picture, scale=SCALE)
