"""Choosing the device."""

from __future__ import annotations

import torch

from arbiscale.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """Find a device by name; `auto` takes CUDA, then MPS, then the CPU.

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
        device = torch.device("meta")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if device.type not in there:
        raise UserError(f"device {wanted!r}: is none of auto, cpu, cuda, cuda:N, mps")
    if not there[device.type]:
        raise UserError(f"device {wanted!r}: this machine has none; use auto or cpu")
    return device
