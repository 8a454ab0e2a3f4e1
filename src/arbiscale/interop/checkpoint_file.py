"""Reading files of tensors that others wrote, without running anything of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from arbiscale.errors import UserError

_STATE_AT = (("state_dict",), ("model", "sd"), ("model",), ())  # where files keep it


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors file, or in a checkpoint of PyTorch 1.6 or later.

    Classes and functions that a checkpoint names are neither imported nor called: whatever torch does not
    itself know as harmless becomes a stand-in that takes everything and does nothing.

    Raises:
        UserError: no such file, a damaged one, one that cannot be read in this way, or one without tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a .ckpt, .pt, .pth or .safetensors file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
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
                return {str(name): tensor.detach() for name, tensor in tensors.items()}
    raise UserError(f"{path}: holds no state dict; save one with torch.save(model.state_dict(), ...)")


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


class _Inert(type):
    """The kind of stand-in classes.

    torch's unpickler sets items of dicts only, and old Lightning files have subclasses of dict: a stand-in
    passes for dict itself.
    """

    def __eq__(cls, other: object) -> bool:
        return cls is other or other is dict

    __hash__ = type.__hash__


def _stand_in(name: str) -> type:
    """A class that takes any arguments, items and state, and keeps none."""

    def take(self: object, *arguments: object) -> None:
        """Forget what is given."""

    members = {"__init__": take, "__setitem__": take, "__setstate__": take}
    return _Inert(name, (), members)
