"""The published LIIF in this project's own network, and as a model folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.section import validate
from arbiscale.errors import UserError
from arbiscale.interop.checkpoint_file import read_state
from arbiscale.interop.tensors import Pair, fill, head_modules, module
from arbiscale.models.folder import LocalImplicitConfig, save_local_implicit
from arbiscale.models.local_implicit import LocalImplicit

_STEM, _HEAD = "encoder.head.0.weight", "imnet.layers.0.weight"
_BLOCKS, _LAYERS = r"encoder\.body\.(\d+)\.body\.0\.weight", r"imnet\.layers\.(\d+)\.weight"
_UNUSED = r"encoder\.(sub|add)_mean\..*"  # EDSR's mean colour, which LIIF leaves out


def import_liif(source: Path, folder: Path) -> LocalImplicit:
    """Write a model folder from a published file of a LIIF, and return the LIIF.

    Args:
        source: .pth, .pt, .ckpt or .safetensors; nothing of it is executed.
        folder: the model folder to write.

    Raises:
        UserError: a file that cannot be read, or holds something else. Nothing is written then.
    """
    liif = load_liif(read_state(source), str(source))
    save_local_implicit(folder, LocalImplicitConfig(network=liif.settings), liif)
    return liif


def load_liif(weights: Mapping[str, Tensor], source: str = "weights") -> LocalImplicit:
    """The published LIIF, in evaluation mode; how wide and deep it is, its tensors say themselves.

    Args:
        weights: the state dict, under the published names (`encoder.head.0.weight`, ...), of an EDSR-baseline
            encoder and a head with feature unfolding, cell decoding and a local ensemble.
        source: their origin, named in messages.

    Raises:
        UserError: tensors of something else, or that do not fit together, by name.
    """
    if _STEM not in weights or _HEAD not in weights:
        some = ", ".join(list(weights)[:3])
        raise UserError(
            f"{source}: holds no LIIF with an EDSR encoder under published names, but {some}, ...; "
            "other checkpoints need their configuration: --preset NAME"
        )
    head = {"width": len(weights[_HEAD]), "layers": _count(weights, _LAYERS) - 1}  # the output's beside
    encoder = {"kind": "edsr", "width": len(weights[_STEM]), "blocks": _count(weights, _BLOCKS)}
    values = {"encoder": encoder, "head": head, "residual": False}
    settings = validate(LocalImplicitSettings, values, source)
    with torch.device("meta"):
        liif = LocalImplicit(settings)
    return fill(liif, _pairs(settings), weights, f"{source}: is not a LIIF as published", _UNUSED)


def _pairs(settings: LocalImplicitSettings) -> Iterator[Pair]:
    yield from module("encoder.head.0", "encoder.stem")
    for block in range(settings.encoder.blocks):
        for there, here in ((0, "first"), (2, "second")):  # an activation stands between
            yield from module(f"encoder.body.{block}.body.{there}", f"encoder.blocks.{block}.{here}")
    yield from module(f"encoder.body.{settings.encoder.blocks}", "encoder.last")
    yield from head_modules("imnet.layers", "head", settings.head.layers)


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in weights)
