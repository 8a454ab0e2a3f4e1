"""Models and trainings of the sizes that parameters ask for, with random weights.

What they draw is noise, what they cost is not.
"""

from __future__ import annotations

import torch

from arbiscale.config.params import Params
from arbiscale.data.degradation import make_degradation
from arbiscale.models.folder import DiffusionConfig, ModelConfig, build_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.local_implicit import LIIFTraining, LINFTraining
from arbiscale.training.module import TrainingModule

STAGES = ("autoencoder", "diffusion", "align_timesteps", "align_samples")


def untrained_model(params: Params) -> tuple[ModelConfig, LatentDiffusion]:
    """A model, always of the same weights, and what its config.json would say."""
    torch.manual_seed(0)
    network = params.autoencoder.network
    statistics = LatentStatistics.uniform(network.latent_channels, 1.0)
    latent_px = params.data.augmentation.crop_px // network.encoder.downsampling
    diffusion = DiffusionConfig.of(params.diffusion, statistics, latent_px)
    config = ModelConfig(
        factor=params.data.factor,
        autoencoder=network,
        diffusion=diffusion,
        sampling=params.evaluate.sampling,
    )
    return config, build_latent_diffusion(config, Autoencoder(network))


def untrained_training(params: Params, stage: str) -> TrainingModule:
    """The training of a stage, or of a baseline by its name in `baselines.train`."""
    module = _training(params, stage)
    module.degradation = make_degradation(params.data, params.seed)
    return module


def _training(params: Params, stage: str) -> TrainingModule:
    torch.manual_seed(0)
    weights_dir, diffusion = params.runtime.weights_dir, params.diffusion
    if stage == "liif":
        return LIIFTraining(params.baselines.liif)
    if stage == "linf":
        return LINFTraining(params.baselines.linf, weights_dir)
    if stage == "autoencoder":
        return AutoencoderTraining(params.autoencoder, params.data.factor, weights_dir)
    model = untrained_model(params)[1]
    if stage == "diffusion":
        encoded = diffusion.cache_latents > 0
        return DiffusionTraining(diffusion.training, diffusion.lr, model, encoded=encoded)
    alignment = {"align_timesteps": TimestepAlignment, "align_samples": SampleAlignment}[stage]
    return alignment(params.align, model, weights_dir)
