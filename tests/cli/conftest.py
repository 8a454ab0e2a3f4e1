"""Untrained models small enough to draw at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


def save_model(folder: Path, task: str) -> Path:
    """A complete model folder with random weights."""
    from arbiscale.config.autoencoder import AutoencoderNetworkSettings
    from arbiscale.diffusion_checkpoint import (
        DiffusionConfig,
        ModelConfig,
        build_latent_diffusion,
        save_latent_diffusion,
    )
    from arbiscale.networks.autoencoder import Autoencoder

    super_resolution = task == "super_resolution"
    level = {"width": 8, "multipliers": [1], "blocks": 1, "attention": False}
    network = AutoencoderNetworkSettings.model_validate(
        {
            "latent_channels": 4,
            "posterior": "deterministic",
            "residual": super_resolution,
            "norm_groups": 4,
            "encoder": {"unshuffle": 4, **level},
            "decoder": level,
            "head": {"width": 8, "layers": 1},
        }
    )
    diffusion = DiffusionConfig.model_validate(
        {
            "task": task,
            "condition_upsampling": "bicubic",
            "process": {
                "timesteps": 100,
                "beta_start": 0.0015,
                "beta_end": 0.0155,
                "zero_terminal_snr": False,
                "prediction": "v",
            },
            "denoiser": {
                "width": 8,
                "multipliers": [1, 2],
                "blocks": 1,
                "attention_factors": [],
                "middle_attention": False,
                "attention_width": 8,
                "norm_groups": 4,
            },
            "latent_shift": [0.0] * 4,
            "latent_scale": [1.0] * 4,
            "training_latent_px": 8,
        }
    )
    config = ModelConfig(factor=4, autoencoder=network, diffusion=diffusion)
    torch.manual_seed(0)
    model = build_latent_diffusion(config, Autoencoder(network))
    for parameter in model.parameters():
        if not parameter.any():  # untrained, they would draw nothing whatever the seed
            torch.nn.init.normal_(parameter, std=0.1)
    save_latent_diffusion(folder, config, model)
    return folder


@pytest.fixture(scope="session")
def super_resolution_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that upscales."""
    return save_model(tmp_path_factory.mktemp("models") / "super_resolution", "super_resolution")


@pytest.fixture(scope="session")
def generation_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that generates."""
    return save_model(tmp_path_factory.mktemp("models") / "generation", "generation")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 12 x 20 pixels (height x width)."""
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
