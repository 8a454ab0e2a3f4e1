"""Choosing the device."""

from __future__ import annotations

import torch

from arbiscale.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """The device of a name; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UserError: a name torch does not know, or a device this machine does not have.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"device {wanted!r}: is none of auto, cpu, cuda, cuda:N, mps") from None
    missing = {
        "cuda": not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(device.type, False):
        raise UserError(f"device {wanted!r}: this machine has none; use auto or cpu")
    return device
