"""Every preset trains: one step of each stage, on narrow networks and small crops."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from arbiscale.config.params import Params
from arbiscale.config.preset import find_preset, list_presets, preview_preset
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.models.folder import DiffusionConfig, ModelConfig, build_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import measure_statistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.local_implicit import LIIFTraining, LINFTraining
from arbiscale.training.module import TrainingModule

ROOT = Path(__file__).parents[2]
NAMES = sorted(list_presets())


def narrow(params: Params) -> Params:
    """The same with narrow networks, small crops, one step a stage, and without LPIPS (needs weights)."""
    values = params.model_dump(by_alias=True)
    coarsest = params.autoencoder.network.encoder.downsampling * params.diffusion.denoiser.downsampling
    side_px = max(coarsest, 32)
    values["data"]["augmentation"]["crop_px"] = side_px
    first, second, align = values["autoencoder"], values["diffusion"], values["align"]
    first |= {"target_px": [side_px // 4, side_px], "decode_px": side_px}
    first["network"]["norm_groups"] = second["denoiser"]["norm_groups"] = 4
    for part in (*(first["network"][name] for name in ("encoder", "decoder", "head")), second["denoiser"]):
        part["width"] = 4
    second["denoiser"]["attention_width"] = 4
    align["decode_px"] = side_px
    first["lpips_weight"] = align["lpips_weight"] = 0.0
    align["samples"]["sampling"]["steps"] = 3
    liif, linf = values["baselines"]["liif"], values["baselines"]["linf"]
    for baseline in (liif, linf):
        baseline |= {"input_px": side_px // 4, "decode_px": side_px}
        baseline["network"]["encoder"] |= {"width": 4, "blocks": 1, "growth": 4}
        baseline["network"]["head"] |= {"width": 4, "frequencies": 2}
    linf["fine_tuning"] |= {"steps": 2, "perceptual_weight": 0.0}
    trainings = (first["training"], second["training"], align["timesteps"], align["samples"]["training"])
    for training in (*trainings, liif["training"], linf["training"]):
        training |= {"steps": 1, "batch_size": 2}
    return Params.model_validate(values)


def build(params: Params, autoencoder: Autoencoder, images: torch.Tensor) -> LatentDiffusion:
    """The latent diffusion model around a trained first stage."""
    settings = params.diffusion
    statistics = measure_statistics(autoencoder, [images], settings.latent_normalization)
    latent_px = images.shape[-1] // autoencoder.downsampling
    diffusion = DiffusionConfig.of(settings, statistics, latent_px)
    config = ModelConfig(
        factor=params.data.factor, autoencoder=params.autoencoder.network, diffusion=diffusion
    )
    return build_latent_diffusion(config, autoencoder)


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_each_stage(
    name: str, crops: Callable[..., Any], runtime: RuntimeSettings, recorder: Any, tmp_path: Path
) -> None:
    params = narrow(preview_preset(ROOT / "params.yaml", find_preset(name)))
    train = crops(side_px=params.data.augmentation.crop_px)
    images = torch.stack([train[10_000], train[10_001]])

    def learns(module: TrainingModule, network: nn.Module, frozen: nn.Module | None, share: float) -> None:
        """Takes the step: the loss is finite, a share of the network moves, nothing frozen does."""
        before = deepcopy(network.state_dict())
        kept = deepcopy(frozen.state_dict()) if frozen else {}
        scratch = tmp_path / module.name
        fit(module, train, [images], runtime=runtime, seed=0, scratch=scratch, recorder=recorder)
        moved = [key for key, value in network.state_dict().items() if not torch.equal(value, before[key])]
        assert len(moved) > share * len(before)
        assert frozen is None or all(torch.equal(kept[key], v) for key, v in frozen.state_dict().items())

    torch.manual_seed(0)
    first_stage = AutoencoderTraining(params.autoencoder, params.data.factor, "")
    autoencoder = first_stage.autoencoder
    at_zero = params.autoencoder.network.residual  # its last layer, behind which nothing moves at first
    learns(first_stage, autoencoder, None, share=0 if at_zero else 0.8)
    model = build(params, autoencoder, images)
    diffusion = DiffusionTraining(params.diffusion.training, params.diffusion.lr, model)
    learns(diffusion, model.denoiser, autoencoder, share=0.8)
    frozen = autoencoder.encoder if params.align.decoder_lr else autoencoder
    for alignment in (TimestepAlignment, SampleAlignment):
        learns(alignment(params.align, model, ""), model.denoiser, frozen, share=0.8)
    liif, linf = LIIFTraining(params.baselines.liif), LINFTraining(params.baselines.linf, "")
    for baseline in (liif, linf):
        learns(baseline, baseline.model, None, share=0.8)
