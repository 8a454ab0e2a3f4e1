"""Published weights in this project's own networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from arbiscale.errors import UserError
from arbiscale.interop.configurations import denoiser_settings, first_stage_settings
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.tensors import Pair, compare, table_of, to_own
from arbiscale.interop.unet_names import unet_pairs
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

Network = TypeVar("Network", bound=nn.Module)


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
    return _fill(autoencoder, first_stage_pairs(settings), weights)


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
    return _fill(denoiser, unet_pairs(settings), weights)


def _fill(network: Network, pairs: Iterable[Pair], weights: Mapping[str, Tensor]) -> Network:
    """Give a network without storage its tensors."""
    table = table_of(network, pairs)
    mismatch = compare(table, network, weights)
    mismatch.unexpected = sorted(set(weights).difference(pair.published for pair in table))
    if mismatch:
        raise UserError(f"weights: {mismatch}")
    network.load_state_dict(to_own(table, weights), assign=True)
    return network.eval()
