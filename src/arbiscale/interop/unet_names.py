"""The published U-Net's tensors beside this project's.

It numbers its blocks in the order they run: input blocks (the first convolution, residual blocks,
downsamplings), the middle, output blocks (residual blocks, the last of a level with the upsampling).
Attention, where there is any, stands behind the residual block of the same number.
"""

from __future__ import annotations

from collections.abc import Iterator

from arbiscale.config.diffusion import DenoiserSettings
from arbiscale.interop.tensors import Pair, module, modules

_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "time_embed.0": "network.time_embedding.linear_1",
    "time_embed.2": "network.time_embedding.linear_2",
    "input_blocks.0.0": "network.conv_in",
    "out.0": "network.conv_norm_out",
    "out.2": "network.conv_out",
}


def unet_pairs(settings: DenoiserSettings) -> Iterator[Pair]:
    """Every tensor that a published U-Net of these settings may have."""
    for there, here in _ENDS.items():
        yield from module(there, here)
    yield from _input_blocks(settings)
    coarsest = settings.multipliers[-1] * settings.width
    yield from modules("middle_block.0", "network.mid_block.resnets.0", _RESIDUAL)
    yield from _attention("middle_block.1", "network.mid_block.attentions.0", coarsest, settings)
    yield from modules("middle_block.2", "network.mid_block.resnets.1", _RESIDUAL)
    yield from _output_blocks(settings)


def _input_blocks(settings: DenoiserSettings) -> Iterator[Pair]:
    number = 1
    for level, multiplier in enumerate(settings.multipliers):
        here = f"network.down_blocks.{level}"
        for block in range(settings.blocks):
            there = f"input_blocks.{number}"
            yield from modules(f"{there}.0", f"{here}.resnets.{block}", _RESIDUAL)
            yield from _attention(
                f"{there}.1", f"{here}.attentions.{block}", multiplier * settings.width, settings
            )
            number += 1
        yield from module(f"input_blocks.{number}.0.op", f"{here}.downsamplers.0.conv")
        number += 1


def _output_blocks(settings: DenoiserSettings) -> Iterator[Pair]:
    number = 0
    coarsest = len(settings.multipliers) - 1
    for index, multiplier in enumerate(reversed(settings.multipliers)):
        here = f"network.up_blocks.{index}"
        attended = 2 ** (coarsest - index) in settings.attention_factors
        for block in range(settings.blocks + 1):
            there = f"output_blocks.{number}"
            yield from modules(f"{there}.0", f"{here}.resnets.{block}", _RESIDUAL)
            yield from _attention(
                f"{there}.1", f"{here}.attentions.{block}", multiplier * settings.width, settings
            )
            number += 1
        last = 2 if attended else 1
        yield from module(f"output_blocks.{number - 1}.{last}.conv", f"{here}.upsamplers.0.conv")


def _attention(there: str, here: str, channels: int, settings: DenoiserSettings) -> Iterator[Pair]:
    """Query, key and value are one convolution over a flat axis; each head has its three together."""
    parts = [f"{here}.to_{part}" for part in "qkv"]
    yield from module(f"{there}.norm", f"{here}.group_norm")
    yield from module(f"{there}.qkv", *parts, kernel=(1,), heads=channels // settings.attention_width)
    yield from module(f"{there}.proj_out", f"{here}.to_out.0", kernel=(1,))
