"""This project's model folders as checkpoints in the published layout."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.interop.checkpoint_file import FIRST_STAGE_ROOT, SCALE, UNET_ROOT, average_name
from arbiscale.interop.configurations import unpublished
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.local_implicit import export_local_implicit
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.interop.unet_names import unet_pairs
from arbiscale.models.folder import (
    AUTOENCODER,
    DENOISER,
    ModelConfig,
    build_denoiser,
    holds_local_implicit,
    read_config,
    read_tensors,
)
from arbiscale.networks.autoencoder import Autoencoder

SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")


def export_checkpoint(folder: Path, target: Path) -> None:
    """Write a model folder as a checkpoint that arbitrary-scale-diffusion, LIIF's or LINF's code reads.

    A .ckpt holds the U-Net's weights a second time as its moving averages (at no cost in size: the storage
    is shared), as latent diffusion samples with those.

    Raises:
        UserError: no model there, or one whose settings no published network has, by key; another suffix.
    """
    if target.suffix not in SUFFIXES:
        raise UserError(f"{target}: must end in one of {', '.join(SUFFIXES)}")
    if holds_local_implicit(folder):
        export_local_implicit(folder, target)
        return
    config = read_config(folder)
    _refuse_unpublished(folder, config)
    with torch.device("meta"):
        autoencoder = Autoencoder(config.autoencoder)
    root = "" if config.diffusion is None else FIRST_STAGE_ROOT
    own = read_tensors(autoencoder, folder / AUTOENCODER, missing_allowed=autoencoder.missing_allowed)
    table = [
        pair
        for pair in table_of(autoencoder, first_stage_pairs(config.autoencoder))
        if own.keys() >= set(pair.own)
    ]
    state = {root + name: tensor for name, tensor in to_published(table, own).items()}
    if config.diffusion is not None:
        state |= _unet_state(folder, config)
    with atomic_file(target) as temporary:
        if target.suffix == ".safetensors":
            save_file(state, temporary)
        else:
            averages = {average_name(name): state[name] for name in state if name.startswith(UNET_ROOT)}
            torch.save({"state_dict": state | averages}, temporary)


def _unet_state(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    diffusion = config.diffusion
    assert diffusion is not None
    with torch.device("meta"):
        denoiser = build_denoiser(diffusion, config.autoencoder)
    table = table_of(denoiser, unet_pairs(diffusion.denoiser))
    state = to_published(table, read_tensors(denoiser, folder / DENOISER))
    scale = torch.tensor(diffusion.latent_scale[0])
    return {UNET_ROOT + name: tensor for name, tensor in state.items()} | {SCALE: scale}


def _refuse_unpublished(folder: Path, config: ModelConfig) -> None:
    keys = unpublished(config.autoencoder)
    if (diffusion := config.diffusion) is not None:
        keys += unpublished(None, diffusion.denoiser, diffusion.process)
        if any(diffusion.latent_shift) or len(set(diffusion.latent_scale)) > 1:
            keys.append("diffusion.latent_normalization: per_channel, not scalar")
    if keys:
        raise UserError(f"{folder}: the published code does not support {'; '.join(keys)}")
