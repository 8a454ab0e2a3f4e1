"""Model folders that hold a latent diffusion model, autoencoder included."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from arbiscale.checkpoint import (
    AUTOENCODER,
    CONFIG,
    FirstStageConfig,
    load_autoencoder,
    load_tensors,
    read_json_config,
    save_tensors,
)
from arbiscale.config.diffusion import DenoiserSettings, DiffusionSettings, ProcessSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, write_json
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.latent_space import LatentSpace, LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

DENOISER = "denoiser.safetensors"


class DiffusionConfig(Section):
    """What rebuilds a latent diffusion model around its autoencoder."""

    task: Literal["super_resolution", "generation"]
    condition_upsampling: Literal["nearest", "bilinear", "bicubic"]
    process: ProcessSettings
    denoiser: DenoiserSettings
    latent_shift: list[float]
    latent_scale: list[float]
    training_latent_px: int = Field(ge=1)  # side of the latents it was trained on

    @classmethod
    def of(
        cls, settings: DiffusionSettings, statistics: LatentStatistics, training_latent_px: int
    ) -> DiffusionConfig:
        """What a model trained by these settings, on latents of these statistics, says of itself."""
        return cls(
            task=settings.task,
            condition_upsampling=settings.condition_upsampling,
            process=settings.process,
            denoiser=settings.denoiser,
            latent_shift=statistics.shift,
            latent_scale=statistics.scale,
            training_latent_px=training_latent_px,
        )


class ModelConfig(FirstStageConfig):
    """What config.json says of a model; without a diffusion part it is an autoencoder."""

    diffusion: DiffusionConfig | None = None
    sampling: SamplingSettings | None = None  # the default sampler


def read_config(folder: Path) -> ModelConfig:
    """Any model folder's configuration; raises UserError naming the folder when it is none."""
    return read_json_config(folder, ModelConfig)


def save_latent_diffusion(folder: Path, config: ModelConfig, model: LatentDiffusion) -> None:
    """Write a complete model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(model.space.autoencoder, temporary / AUTOENCODER)
        save_tensors(model.denoiser, temporary / DENOISER)


def build_latent_diffusion(config: ModelConfig, autoencoder: Autoencoder) -> LatentDiffusion:
    """The model a configuration describes around an autoencoder, its denoiser not yet trained.

    Raises:
        ValueError: the configuration has no diffusion part.
    """
    diffusion = config.diffusion
    if diffusion is None:
        raise ValueError("the configuration describes an autoencoder only")
    super_resolution = diffusion.task == "super_resolution"
    space = LatentSpace(autoencoder, LatentStatistics(diffusion.latent_shift, diffusion.latent_scale))
    denoiser = Denoiser(diffusion.denoiser, space.channels, space.channels if super_resolution else 0)
    factor = config.factor if super_resolution else None
    process = DiffusionProcess(diffusion.process)
    return LatentDiffusion(space, process, denoiser, factor, diffusion.condition_upsampling)


def load_latent_diffusion(folder: Path) -> LatentDiffusion:
    """The latent diffusion model of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: the folder holds none, or its tensors do not fit its configuration.
    """
    config = read_config(folder)
    if config.diffusion is None:
        raise UserError(f"{folder}: holds an autoencoder only; give the folder of a later stage")
    model = build_latent_diffusion(config, load_autoencoder(folder, config.autoencoder))
    load_tensors(model.denoiser, folder / DENOISER)
    return model.eval()
