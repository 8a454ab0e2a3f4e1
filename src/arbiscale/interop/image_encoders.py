"""The published encoders of LIIF and LINF: their arguments, and their tensors beside this project's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from arbiscale.config.local_implicit import ImageEncoderSettings
from arbiscale.config.section import Section, validate
from arbiscale.interop.tensors import Pair, module

UNUSED = {  # tensors that LIIF and LINF have, and compute nothing with
    "edsr": (r"encoder\.(sub|add)_mean\..*", "mean colour of the encoder"),
    "rrdb": (r"encoder\.(upconv1|upconv2|HRconv|conv_last)\..*", "upsampling of the encoder"),
}
_STEM = {"edsr": "encoder.head.0.weight", "rrdb": "encoder.conv_first.weight"}
_BLOCK = {
    "edsr": r"encoder\.body\.\d+\.body\.0\.weight",
    "rrdb": r"encoder\.RRDB_trunk\.\d+\.RDB1\.conv1\.weight",
}
_GROWING = "encoder.RRDB_trunk.0.RDB1.conv1.weight"
_MEAN_COLOUR = (0.4488, 0.4371, 0.4040)  # of DIV2K, in [0, 1]


class EncoderSpec(Section):
    """What the published code makes an encoder of."""

    name: Literal["edsr-baseline", "rrdb"]
    args: dict[str, Any]


class _EDSRArguments(Section):
    n_resblocks: int = Field(default=16, ge=1)
    n_feats: int = Field(default=64, ge=1)
    no_upsampling: Literal[True]
    res_scale: float = Field(default=1, ge=1, le=1)
    scale: int = 2  # of the upsampling
    rgb_range: float = 1  # of the mean colour


class _RRDBArguments(Section):
    nb: int = Field(default=23, ge=1)
    nf: int = Field(default=64, ge=1)
    gc: int = Field(default=32, ge=1)
    no_upsampling: Literal[True] = True
    in_nc: Literal[3] = 3
    out_nc: int = 3  # of the upsampling


def encoder_settings(spec: EncoderSpec, source: str) -> ImageEncoderSettings:
    """This project's settings of a published encoder.

    Raises:
        UserError: arguments that are not covered, by name.
    """
    prefix = "encoder_spec.args"
    if spec.name == "edsr-baseline":
        edsr = validate(_EDSRArguments, spec.args, source, prefix)
        return ImageEncoderSettings(kind="edsr", width=edsr.n_feats, blocks=edsr.n_resblocks)
    rrdb = validate(_RRDBArguments, spec.args, source, prefix)
    return ImageEncoderSettings(kind="rrdb", width=rrdb.nf, blocks=rrdb.nb, growth=rrdb.gc)


def encoder_spec(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The specification of the encoder whose tensors these are; None for another."""
    if _STEM["edsr"] in weights:
        edsr = {"n_resblocks": count(weights, _BLOCK["edsr"]), "n_feats": len(weights[_STEM["edsr"]])}
        return {"name": "edsr-baseline", "args": edsr | {"no_upsampling": True}}
    if _STEM["rrdb"] in weights and _GROWING in weights:
        rrdb = {"nb": count(weights, _BLOCK["rrdb"]), "nf": len(weights[_STEM["rrdb"]])}
        return {"name": "rrdb", "args": rrdb | {"gc": len(weights[_GROWING]), "no_upsampling": True}}
    return None


def encoder_pairs(settings: ImageEncoderSettings) -> Iterator[Pair]:
    """The tensors of an encoder."""
    blocks = range(settings.blocks)
    if settings.kind == "edsr":
        yield from module("encoder.head.0", "encoder.stem")
        for block in blocks:
            for number, layer in ((0, "first"), (2, "second")):  # an activation stands between
                yield from module(f"encoder.body.{block}.body.{number}", f"encoder.blocks.{block}.{layer}")
        yield from module(f"encoder.body.{settings.blocks}", "encoder.last")
        return
    yield from module("encoder.conv_first", "encoder.stem")
    for block in blocks:
        for dense in range(3):
            there, here = f"RRDB_trunk.{block}.RDB{dense + 1}", f"blocks.{block}.blocks.{dense}"
            for number in range(5):
                yield from module(f"encoder.{there}.conv{number + 1}", f"encoder.{here}.layers.{number}")
    yield from module("encoder.trunk_conv", "encoder.last")


def unused_tensors(settings: ImageEncoderSettings) -> dict[str, Tensor]:
    """What a published file holds of an encoder beside `encoder_pairs`: its mean colour, or zeros."""
    if settings.kind == "edsr":
        mean, same = torch.tensor(_MEAN_COLOUR), torch.eye(3)[..., None, None]
        return {
            "encoder.sub_mean.weight": same,
            "encoder.sub_mean.bias": -mean,
            "encoder.add_mean.weight": same.clone(),
            "encoder.add_mean.bias": mean,
        }
    width = settings.width
    outputs = {"upconv1": width, "upconv2": width, "HRconv": width, "conv_last": 3}
    weights = {f"encoder.{name}.weight": torch.zeros(out, width, 3, 3) for name, out in outputs.items()}
    return weights | {f"encoder.{name}.bias": torch.zeros(out) for name, out in outputs.items()}


def count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many names match."""
    return sum(re.fullmatch(pattern, name) is not None for name in weights)
