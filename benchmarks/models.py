"""Models of a configuration's sizes with random weights: what they draw is noise, what it costs is not."""

from __future__ import annotations

import torch

from arbiscale.config.params import Params
from arbiscale.config.sampling import SamplingSettings
from arbiscale.models.folder import DiffusionConfig, ModelConfig, build_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder

SAMPLING = SamplingSettings(steps=4, spacing="trailing", eta=0.0)


def random_model(params: Params) -> tuple[ModelConfig, LatentDiffusion]:
    """A model, and what its config.json would say; it draws in 4 steps."""
    torch.manual_seed(0)
    network = params.autoencoder.network
    statistics = LatentStatistics.uniform(network.latent_channels, 1.0)
    latent_px = params.data.augmentation.crop_px // network.encoder.downsampling
    diffusion = DiffusionConfig.of(params.diffusion, statistics, latent_px)
    config = ModelConfig(
        factor=params.data.factor, autoencoder=network, diffusion=diffusion, sampling=SAMPLING
    )
    return config, build_latent_diffusion(config, Autoencoder(network))
