"""One small upscaler for all of these tests."""

from collections.abc import Callable

import numpy as np
import pytest

from arbiscale.config.sampling import SamplingSettings
from arbiscale.diffusion_checkpoint import ModelConfig, save_latent_diffusion
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.model import Model, load_model


@pytest.fixture(scope="session")
def upscaler(
    tmp_path_factory: pytest.TempPathFactory,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
) -> Model:
    """A residual decoder behind a convolutional denoiser; 2 steps."""
    config = model_config()
    folder = tmp_path_factory.mktemp("models") / "upscaler"
    save_latent_diffusion(folder, config, make_model(config))
    return load_model(folder, "cpu", sampling=SamplingSettings(steps=2, spacing="trailing", eta=0.0))


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """Smooth colours with an edge, uint8 (56, 72, 3)."""
    y, x = np.mgrid[:56, :72]
    pixels = np.stack([3 * y, 2 * x + y, 255 - 2 * x], axis=2)
    pixels[20:, 40:] //= 2
    return pixels.clip(0, 255).astype(np.uint8)
