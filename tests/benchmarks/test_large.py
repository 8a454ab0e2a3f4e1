"""What is measured of large pictures, on a tiny model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from arbiscale.inference.loading import load_model
from arbiscale.models.folder import ModelConfig, save_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from benchmarks import large


def test_photographs_of_any_size() -> None:
    small, huge = large.photograph((100, 60)), large.photograph((1000, 513))
    assert (small.shape, huge.shape) == ((100, 60, 3), (1000, 513, 3))
    np.testing.assert_array_equal(huge[450:550, 227:287], small)


def test_a_large_picture_is_drawn_and_its_tiles_compared(
    tmp_path: Path,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
) -> None:
    config = model_config()
    save_latent_diffusion(tmp_path / "model", config, make_model(config))
    for sparse in ((), (".dzi", 2)):
        large.prepare(tmp_path / "model", (48, 40), (300, 200), torch.device("cpu"), *sparse)()
    mean, growth = large.error_of_tiles(load_model(tmp_path / "model", "cpu"))
    assert 0 < mean < 30
    assert 0 < growth < 2
