"""Every published configuration trains: one step of each stage, on narrow networks and small crops."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from arbiscale.config.params import Params
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.diffusion_checkpoint import DiffusionConfig, ModelConfig, build_latent_diffusion
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.latent_space import measure_statistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.presets import preview_preset
from arbiscale.training.align_samples import SampleAlignment
from arbiscale.training.align_timesteps import TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.module import TrainingModule

ROOT = Path(__file__).parents[2]


def narrow(params: Params) -> Params:
    """The same configuration with narrow networks, the smallest crops they take, and one step a stage."""
    values = params.model_dump(by_alias=True)
    side_px = params.autoencoder.network.encoder.downsampling * params.diffusion.denoiser.downsampling
    values["data"]["augmentation"]["crop_px"] = side_px
    first, second, align = values["autoencoder"], values["diffusion"], values["align"]
    first |= {"target_px": [side_px // 4, side_px], "decode_px": side_px}
    first["network"]["norm_groups"] = second["denoiser"]["norm_groups"] = 4
    for part in (*(first["network"][name] for name in ("encoder", "decoder", "head")), second["denoiser"]):
        part["width"] = 4
    second["denoiser"]["attention_width"] = 4
    align["decode_px"] = side_px
    align["samples"]["sampling"]["steps"] = 3
    for training in (first["training"], second["training"], align["timesteps"], align["samples"]["training"]):
        training |= {"steps": 1, "batch_size": 2}
    return Params.model_validate(values)


def build(params: Params, autoencoder: Autoencoder, images: torch.Tensor) -> LatentDiffusion:
    """The latent diffusion model around a trained first stage."""
    settings = params.diffusion
    statistics = measure_statistics(autoencoder, [images], settings.latent_normalization)
    diffusion = DiffusionConfig(
        task=settings.task,
        condition_upsampling=settings.condition_upsampling,
        process=settings.process,
        denoiser=settings.denoiser,
        latent_shift=statistics.shift,
        latent_scale=statistics.scale,
        training_latent_px=images.shape[-1] // autoencoder.downsampling,
    )
    config = ModelConfig(
        factor=params.data.factor, autoencoder=params.autoencoder.network, diffusion=diffusion
    )
    return build_latent_diffusion(config, autoencoder)


def test_one_step_of_each_stage(
    published: Path, crops: Callable[..., Any], runtime: RuntimeSettings, recorder: Any, tmp_path: Path
) -> None:
    params = narrow(preview_preset(ROOT / "params.yaml", published))
    train = crops(side_px=params.data.augmentation.crop_px)
    images = torch.stack([train[10_000], train[10_001]])

    def learns(module: TrainingModule, network: nn.Module, frozen: nn.Module | None = None) -> None:
        """Takes the step: the loss is finite, the network moves, nothing frozen does."""
        before = deepcopy(network.state_dict())
        kept = deepcopy(frozen.state_dict()) if frozen else {}
        scratch = tmp_path / module.name
        fit(module, train, images, runtime=runtime, seed=0, scratch=scratch, recorder=recorder)
        moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
        assert len(moved) > 0.8 * len(before)
        assert frozen is None or all(torch.equal(kept[name], v) for name, v in frozen.state_dict().items())

    torch.manual_seed(0)
    first_stage = AutoencoderTraining(params.autoencoder, params.data.factor, "")
    autoencoder = first_stage.autoencoder
    learns(first_stage, autoencoder)
    model = build(params, autoencoder, images)
    for module in (
        DiffusionTraining(params.diffusion.training, params.diffusion.lr, model),
        TimestepAlignment(params.align, model, ""),
        SampleAlignment(params.align, model, ""),
    ):
        learns(module, model.denoiser, autoencoder)
