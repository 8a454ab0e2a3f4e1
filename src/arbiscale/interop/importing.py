"""Published weights in this project's networks, and published checkpoints as its model folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.diffusion import DiffusionSettings, ProcessSettings
from arbiscale.config.params import Params
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, write_json
from arbiscale.interop.checkpoint_file import (
    SCALE,
    SCHEDULE,
    Part,
    averaged,
    find_first_stage,
    find_unet,
    read_state,
    sort_out,
)
from arbiscale.interop.configurations import denoiser_settings, first_stage_settings, unpublished
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.tensors import Mismatch, Pair, compare, fill, table_of, to_own
from arbiscale.interop.unet_names import unet_pairs
from arbiscale.models.folder import (
    AUTOENCODER,
    CONFIG,
    DENOISER,
    DiffusionConfig,
    ModelConfig,
    build_denoiser,
    read_config,
    read_tensors,
)
from arbiscale.models.latent_space import LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser


def load_first_stage(
    weights: Mapping[str, Tensor], ddconfig: Mapping[str, Any], liifconfig: Mapping[str, Any]
) -> Autoencoder:
    """A published first stage, in evaluation mode; its latents are before the scale factor.

    Args:
        weights: the state dict, under arbitrary-scale-diffusion's names (`encoder.0.conv_in.weight`, ...).
        ddconfig: of encoder and decoder, as published.
        liifconfig: of the implicit head, as published.

    Raises:
        UserError: a configuration that is not covered; tensors that do not fit it, by name.
    """
    settings = first_stage_settings(ddconfig, liifconfig)
    with torch.device("meta"):
        autoencoder = Autoencoder(settings)
    return fill(autoencoder, first_stage_pairs(settings), weights, "weights")


def load_denoiser(weights: Mapping[str, Tensor], unet_config: Mapping[str, Any]) -> Denoiser:
    """A published U-Net, in evaluation mode; a condition is concatenated behind the noisy latent.

    Args:
        weights: the state dict, under latent diffusion's names (`input_blocks.0.0.weight`, ...).
        unet_config: as published; `attention_resolutions` are downsampling factors.

    Raises:
        UserError: a configuration that is not covered; tensors that do not fit it, by name.
    """
    settings = denoiser_settings(unet_config)
    latent_channels = unet_config["out_channels"]
    with torch.device("meta"):
        denoiser = Denoiser(settings, latent_channels, unet_config["in_channels"] - latent_channels)
    return fill(denoiser, unet_pairs(settings), weights, "weights")


@dataclass(frozen=True)
class Imported:
    """What an import wrote.

    Attributes:
        head: whether the implicit head is there; latent diffusion's first stages have none.
        unet: whether there is a U-Net.
        averages: whether moving averages were taken.
        latent_scale: what latents are multiplied by; None where the file names none (1, its default).
        left_out: how many of the file's tensors have no place here, by kind.
    """

    head: bool
    unet: bool
    averages: bool
    latent_scale: float | None
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Wanted:
    """A network to be filled, and the table of its tensors under the file's names."""

    network: nn.Module
    table: list[Pair]


def import_checkpoint(
    source: Path, params: Params, folder: Path, first_stage: Path | None = None
) -> Imported:
    """Write a model folder from a published file of a first stage, a U-Net, or both.

    Args:
        source: .ckpt, .pt, .pth or .safetensors, of arbitrary-scale-diffusion or latent diffusion.
        params: whose networks, noise schedule, factor and sampler the model has.
        folder: the model folder to write.
        first_stage: a model folder whose first stage is taken instead of the file's.

    Raises:
        UserError: a file that cannot be read; tensors that do not fit the settings, by name; settings that
            no published network has; a part that is missing. Nothing is written then.
    """
    state = read_state(source)
    stage, unet = find_first_stage(state), find_unet(state)
    _check_parts(source, state, stage, unet, first_stage)
    settings = params.autoencoder.network if first_stage is None else read_config(first_stage).autoencoder
    _refuse_unpublished(settings if first_stage is None else None, params.diffusion if unet else None)

    with torch.device("meta"):
        autoencoder = Autoencoder(settings)
    wanted: dict[str, _Wanted] = {}
    if stage is not None and first_stage is None:
        table = stage.pairs(table_of(autoencoder, first_stage_pairs(settings)))
        wanted[AUTOENCODER] = _Wanted(autoencoder, table)
    if unet is not None:
        with torch.device("meta"):
            denoiser = build_denoiser(params.diffusion, settings)
        wanted[DENOISER] = _Wanted(
            denoiser, unet.pairs(table_of(denoiser, unet_pairs(params.diffusion.denoiser)))
        )
        _check_schedule(source, state, params.diffusion.process)
    replaced = None if first_stage is None else stage
    best, left_out = _fit(source, state, [part for part in (stage, unet) if part], wanted, replaced)

    tensors = {name: to_own(want.table, best) for name, want in wanted.items()}
    if first_stage is not None:
        path = first_stage / AUTOENCODER
        tensors[AUTOENCODER] = read_tensors(autoencoder, path, missing_allowed=autoencoder.missing_allowed)
    scale = float(state[SCALE]) if unet is not None and SCALE in state else None
    config = _config(params, settings, 1.0 if scale is None else scale, with_unet=unet is not None)
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        for name, own in tensors.items():
            save_file(own, temporary / name)
    head = autoencoder.missing_allowed <= tensors[AUTOENCODER].keys()
    return Imported(head, unet is not None, best is not state, scale, left_out)


def _check_parts(
    source: Path, state: Mapping[str, Tensor], stage: Part | None, unet: Part | None, first_stage: Path | None
) -> None:
    """Refuse a file from which, with or without another first stage, no model can be made."""
    if stage is None and unet is None:
        some = ", ".join(list(state)[:3])
        raise UserError(f"{source}: holds no first stage and no U-Net under published names, but {some}, ...")
    if unet is None and first_stage is not None:
        raise UserError(f"{source}: holds no U-Net to put behind {first_stage}; leave --first-stage out")
    if stage is None and first_stage is None:
        raise UserError(
            f"{source}: holds a U-Net only; name a model folder that has its first stage: --first-stage DIR"
        )


def _fit(
    source: Path,
    state: Mapping[str, Tensor],
    parts: list[Part],
    wanted: Mapping[str, _Wanted],
    replaced: Part | None,
) -> tuple[Mapping[str, Tensor], dict[str, int]]:
    """The file's tensors, averages in the place of weights, and what of them is not needed."""
    best, mismatch, used = state, Mismatch(), {SCALE}
    for want in wanted.values():
        best = averaged(best, want.table)
        mismatch += compare(want.table, want.network, best)
        used.update(pair.published for pair in want.table)
    left_out, mismatch.unexpected = sort_out(state, used, parts, replaced)
    if mismatch:
        raise UserError(f"{source}: does not fit the preset: {mismatch}")
    return best, left_out


def _refuse_unpublished(
    settings: AutoencoderNetworkSettings | None, diffusion: DiffusionSettings | None
) -> None:
    parts = (None, None) if diffusion is None else (diffusion.denoiser, diffusion.process)
    if keys := unpublished(settings, *parts):
        raise UserError(f"--preset: no published network has {'; '.join(keys)}; choose a published preset")


def _check_schedule(source: Path, state: Mapping[str, Tensor], process: ProcessSettings) -> None:
    """Refuse another noise schedule than the one that the file says its U-Net was trained with."""
    if SCHEDULE not in state:
        return
    found, expected = state[SCHEDULE].double(), DiffusionProcess(process).alpha_bar.double()
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-6):
        raise UserError(
            f"{source}: its noise schedule differs: {len(found)} timesteps, betas of "
            f"{1 - found[0]:.3g} to {1 - found[-1] / found[-2]:.3g}; diffusion.process has "
            f"{process.timesteps}, {process.beta_start:.3g} to {process.beta_end:.3g}"
        )


def _config(
    params: Params, settings: AutoencoderNetworkSettings, scale: float, *, with_unet: bool
) -> ModelConfig:
    if not with_unet:
        return ModelConfig(factor=params.data.factor, autoencoder=settings)
    statistics = LatentStatistics.uniform(settings.latent_channels, scale)
    latent_px = params.data.augmentation.crop_px // settings.encoder.downsampling
    return ModelConfig(
        factor=params.data.factor,
        autoencoder=settings,
        diffusion=DiffusionConfig.of(params.diffusion, statistics, latent_px),
        sampling=params.evaluate.sampling,
    )
