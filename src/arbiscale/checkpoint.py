"""Model folders: config.json and safetensors, complete and self-describing, without ids, times or paths.

`autoencoder.safetensors` is always there, `denoiser.safetensors` from the diffusion stage on. Equal
weights give equal bytes, so a stage that is executed again with the same result reruns nothing after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.diffusion import DenoiserSettings, ProcessSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, write_json
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.latent_space import LatentSpace, LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

CONFIG, AUTOENCODER, DENOISER = "config.json", "autoencoder.safetensors", "denoiser.safetensors"


class DiffusionConfig(Section):
    """What rebuilds a latent diffusion model around its autoencoder."""

    task: Literal["super_resolution", "generation"]
    condition_upsampling: Literal["nearest", "bilinear", "bicubic"]
    process: ProcessSettings
    denoiser: DenoiserSettings
    latent_shift: list[float]
    latent_scale: list[float]
    training_latent_px: int = Field(ge=1)  # side of the latents it was trained on


class ModelConfig(Section):
    """config.json of a model folder."""

    format: Literal["arbiscale-1"] = "arbiscale-1"
    factor: int = Field(ge=1)  # HR crop / LR crop
    autoencoder: AutoencoderNetworkSettings
    diffusion: DiffusionConfig | None = None
    sampling: SamplingSettings | None = None  # the default sampler


def read_config(folder: Path) -> ModelConfig:
    """A model folder's configuration; raises UserError naming the folder when it is none."""
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: is not a model folder (no {CONFIG}); train one with `dvc repro`")
    return validate(ModelConfig, read_yaml(path), path)  # JSON is YAML 1.2


def save_autoencoder(folder: Path, config: ModelConfig, autoencoder: nn.Module) -> None:
    """Write a model folder that holds an autoencoder only."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        _save(autoencoder, temporary / AUTOENCODER)


def save_latent_diffusion(folder: Path, config: ModelConfig, model: LatentDiffusion) -> None:
    """Write a complete model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        _save(model.space.autoencoder, temporary / AUTOENCODER)
        _save(model.denoiser, temporary / DENOISER)


def load_autoencoder(folder: Path) -> Autoencoder:
    """The autoencoder of a model folder, in evaluation mode, on the CPU."""
    autoencoder = Autoencoder(read_config(folder).autoencoder)
    _load(autoencoder, folder / AUTOENCODER)
    return autoencoder.eval()


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
    model = build_latent_diffusion(config, load_autoencoder(folder))
    _load(model.denoiser, folder / DENOISER)
    return model.eval()


def _save(network: nn.Module, path: Path) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path)


def _load(network: nn.Module, path: Path) -> None:
    try:
        tensors: dict[str, Any] = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it with `dvc checkout` or `dvc repro`") from None
    except SafetensorError as error:
        raise UserError(f"{path}: is not a readable safetensors file ({error})") from None
    expected = network.state_dict()
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{path}: does not fit {CONFIG}: {'; '.join(problems[:5])}{more}")
    with torch.no_grad():
        network.load_state_dict(tensors)
