"""Files of network weights as tensors by their names, without executing anything in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arbiscale.errors import UserError, first_line


def load_state(path: Path) -> dict[str, Any]:
    """A state dict from a local file.

    Raises:
        UserError: the file is damaged or holds something else.
    """
    with _named(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise UserError(f"{path}: holds no state dict; remove it and fetch it again")
    return state


def load_scripted(path: Path) -> dict[str, Tensor]:
    """The state dict of a network that was saved as TorchScript, whose code is not called.

    Raises:
        UserError: the file is damaged or holds something else.
    """
    with _named(path):
        state: dict[str, Tensor] = torch.jit.load(str(path), map_location="cpu").state_dict()
    return state


def load_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of numbers in a file of NumPy's (.npz).

    Raises:
        UserError: the file is damaged or holds something else.
    """
    with _named(path), np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what a reader says of a file into one line about it."""
    try:
        yield
    except Exception as error:  # zipfile, pickle, NumPy and torch each have their own
        raise UserError(
            f"{path}: is not a file of network weights ({first_line(error)}); remove it and fetch it again"
        ) from None
