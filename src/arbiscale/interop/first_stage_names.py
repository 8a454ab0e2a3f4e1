"""The published first stage's tensors beside this project's.

Names are those of arbitrary-scale-diffusion: `encoder.0` is latent diffusion's encoder, `encoder.1` and
`decoder.decoder.0` are 1x1 convolutions, `decoder.decoder.1` is its decoder without upsampling (levels
counted from the finest), `decoder.inr` is the implicit head.
"""

from __future__ import annotations

from collections.abc import Iterator

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.interop.tensors import Pair, head_modules, module, modules

_RESIDUAL = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "nin_shortcut": "conv_shortcut",
}
_ATTENTION = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}  # 1x1 convolutions


def first_stage_pairs(settings: AutoencoderNetworkSettings) -> Iterator[Pair]:
    """Every tensor that a published first stage of these settings may have."""
    yield from _encoder(settings)
    yield from _feature_decoder(settings)
    yield from head_modules("decoder.inr.imnet.layers", "decoder.head", settings.head.layers)


def _encoder(settings: AutoencoderNetworkSettings) -> Iterator[Pair]:
    there, here = "encoder.0", "encoder.network"
    yield from module(f"{there}.conv_in", f"{here}.conv_in")
    for level in range(len(settings.encoder.multipliers)):
        for block in range(settings.encoder.blocks):
            yield from modules(
                f"{there}.down.{level}.block.{block}",
                f"{here}.down_blocks.{level}.resnets.{block}",
                _RESIDUAL,
            )
        yield from module(
            f"{there}.down.{level}.downsample.conv", f"{here}.down_blocks.{level}.downsamplers.0.conv"
        )
    yield from _middle(f"{there}.mid", f"{here}.mid_block")
    yield from module(f"{there}.norm_out", f"{here}.conv_norm_out")
    yield from module(f"{there}.conv_out", f"{here}.conv_out")
    yield from module("encoder.1", "encoder.to_moments")


def _feature_decoder(settings: AutoencoderNetworkSettings) -> Iterator[Pair]:
    there, here = "decoder.decoder.1", "decoder.feature_decoder"
    yield from module("decoder.decoder.0", f"{here}.from_latent")
    yield from module(f"{there}.conv_in", f"{here}.stem")
    yield from _middle(f"{there}.mid", f"{here}.middle")
    coarsest = len(settings.decoder.multipliers) - 1
    for level in range(coarsest + 1):
        for block in range(settings.decoder.blocks + 1):
            yield from modules(
                f"{there}.up.{coarsest - level}.block.{block}",
                f"{here}.levels.{level}.resnets.{block}",
                _RESIDUAL,
            )


def _middle(there: str, here: str) -> Iterator[Pair]:
    yield from modules(f"{there}.block_1", f"{here}.resnets.0", _RESIDUAL)
    yield from module(f"{there}.attn_1.norm", f"{here}.attentions.0.group_norm")
    yield from modules(f"{there}.attn_1", f"{here}.attentions.0", _ATTENTION, kernel=(1, 1))
    yield from modules(f"{there}.block_2", f"{here}.resnets.1", _RESIDUAL)
