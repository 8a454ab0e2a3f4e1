"""Published files: read without executing anything in them; which networks they hold."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from arbiscale.errors import UserError
from arbiscale.interop.tensors import Pair

SCALE, SCHEDULE = "scale_factor", "alphas_cumprod"
UNET_ROOT, FIRST_STAGE_ROOT = "model.diffusion_model.", "first_stage_model."
_UNET_ROOTS = (UNET_ROOT, "diffusion_model.", "")
_FIRST_STAGE_ROOTS = (FIRST_STAGE_ROOT, "")
_UNET_SIGN, _NESTED_SIGN, _PLAIN_SIGN = (
    "time_embed.0.weight",
    "encoder.0.conv_in.weight",
    "encoder.conv_in.weight",
)

# How latent diffusion's first stages (vq-f4, kl-f4, kl-f8) name the parts; they have no implicit head.
_LATENT_DIFFUSION = {
    "encoder.0.": "encoder.",
    "encoder.1.": "quant_conv.",
    "decoder.decoder.0.": "post_quant_conv.",
    "decoder.decoder.1.": "decoder.",
}
_NOT_NEEDED = {
    r"decoder\.(up\.\d+\.upsample|norm_out|conv_out)\..*": "upsampling and output of the decoder",
    r"quantize\..*": "vector quantisation",
    r"loss\..*": "training losses",
    r"(.*\.)?model_ema\..*": "averaged weights",
    r"betas|alphas_.*|sqrt_.*|log_one_minus_.*|posterior_.*|lvlb_weights|logvar|cond_ids": "noise schedule",
    r"colorize": "colours of segmentation maps",
}
_STATE_AT = (("state_dict",), ("model", "sd"), ("model",), ())  # where files keep it


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file; see `read_described`."""
    return read_described(path)[0]


def read_described(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict in a .safetensors file, or in a checkpoint of PyTorch 1.6 or later.

    Beside it, the arguments that LIIF's code keeps of the network; none where the file has none.

    Classes and functions that a checkpoint names are neither imported nor called: those that torch does not
    allow are replaced by a stand-in that accepts everything and does nothing.

    Raises:
        UserError: the file is missing, damaged, cannot be read in this way, or holds no tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a .ckpt, .pt, .pth or .safetensors file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path), {}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: is not a readable safetensors file ({error})") from None
    content = _read_pickle(path)
    for keys in _STATE_AT:
        found = content
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping):
            tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
            if tensors:
                return {str(name): tensor.detach() for name, tensor in tensors.items()}, _arguments(content)
    raise UserError(f"{path}: holds no state dict; save one with torch.save(model.state_dict(), ...)")


def _arguments(content: Any) -> dict[str, Any]:
    model = content.get("model")
    arguments = model.get("args") if isinstance(model, Mapping) else None
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _read_pickle(path: Path) -> Any:
    try:
        names = get_unsafe_globals_in_checkpoint(path)
        with safe_globals([(_stand_in(name), name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not read, as it wants more than tensors ({reason})") from None
    except Exception as error:  # a damaged file fails in any way
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: is not a readable checkpoint of PyTorch 1.6 or later ({reason})") from None


class _StandIn(type):
    """The metaclass of stand-in classes: each compares equal to dict.

    torch's unpickler sets items of dicts only, and old Lightning files have subclasses of dict.
    """

    def __eq__(cls, other: object) -> bool:
        return cls is other or other is dict

    __hash__ = type.__hash__


def _stand_in(name: str) -> type:
    """A class that accepts any arguments, items and state, and keeps none."""

    def take(self: object, *arguments: object) -> None:
        """Ignore the arguments."""

    members = {"__init__": take, "__setitem__": take, "__setstate__": take}
    return _StandIn(name, (), members)


@dataclass(frozen=True)
class Part:
    """A network in a file.

    Attributes:
        root: what stands before its tensors' names.
        layout: prefixes of names as arbitrary-scale-diffusion has them, and as this file has them;
            parts under other prefixes are not in it.
    """

    root: str
    layout: Mapping[str, str]

    def pairs(self, pairs: Iterable[Pair]) -> list[Pair]:
        """A table with the names that this file has."""
        named = ((pair, self._name(pair.published)) for pair in pairs)
        return [replace(pair, published=name) for pair, name in named if name is not None]

    def _name(self, canonical: str) -> str | None:
        for there, here in self.layout.items():
            if canonical.startswith(there):
                return self.root + here + canonical.removeprefix(there)
        return None


AS_PUBLISHED = {"": ""}


def find_unet(names: Iterable[str]) -> Part | None:
    """The U-Net among a file's tensors."""
    names = set(names)
    return next((Part(root, AS_PUBLISHED) for root in _UNET_ROOTS if root + _UNET_SIGN in names), None)


def find_first_stage(names: Iterable[str]) -> Part | None:
    """The first stage among a file's tensors, of arbitrary-scale-diffusion or of latent diffusion."""
    names = set(names)
    for root in _FIRST_STAGE_ROOTS:
        if root + _NESTED_SIGN in names:
            return Part(root, AS_PUBLISHED)
        if root + _PLAIN_SIGN in names:
            return Part(root, _LATENT_DIFFUSION)
    return None


def averaged(tensors: Mapping[str, Tensor], table: Sequence[Pair]) -> Mapping[str, Tensor]:
    """The file's tensors, with those of a table replaced by their moving averages if the file has any.

    Latent diffusion keeps that of `model.a.b` (of `a.b` in a first stage's own file) as `model_ema.ab`.
    """
    shadows = {pair.published: average_name(pair.published) for pair in table}
    if not any(shadow in tensors for shadow in shadows.values()):
        return tensors
    others = {name: tensor for name, tensor in tensors.items() if name not in shadows}
    return others | {name: tensors[shadow] for name, shadow in shadows.items() if shadow in tensors}


def average_name(name: str) -> str:
    """The name under which latent diffusion keeps a tensor's moving average."""
    return "model_ema." + name.removeprefix("model.").replace(".", "")


def sort_out(
    tensors: Mapping[str, Tensor], used: Container[str], parts: Sequence[Part], replaced: Part | None = None
) -> tuple[dict[str, int], list[str]]:
    """The tensors that no table uses: how many are not needed, by kind, and the unexpected ones.

    Args:
        tensors: all of the file.
        used: names in the tables.
        parts: the networks found.
        replaced: the one of them that is not used.
    """
    counts: dict[str, int] = {}
    unexpected = []
    for name in sorted(tensors):
        if name in used:
            continue
        if replaced is not None and name.startswith(replaced.root):
            kind: str | None = "first stage that another replaces"
        else:
            kind = _kind(name, parts, tensors)
        if kind is None:
            unexpected.append(name)
        else:
            counts[kind] = counts.get(kind, 0) + 1
    return counts, unexpected


def _kind(name: str, parts: Sequence[Part], tensors: Mapping[str, Tensor]) -> str | None:
    """The kind of a tensor that is not needed; None for an unexpected one."""
    first_stage = name.replace("cond_stage_model.", FIRST_STAGE_ROOT, 1)
    if first_stage != name and first_stage in tensors and torch.equal(tensors[name], tensors[first_stage]):
        return "copy of the first stage for the condition"
    for root in {"", *(part.root for part in parts)}:
        for pattern, kind in _NOT_NEEDED.items():
            if name.startswith(root) and re.fullmatch(pattern, name.removeprefix(root)):
                return kind
    return None
