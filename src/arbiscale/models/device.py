"""Choosing the device, and how many processes load data for it."""

from __future__ import annotations

import torch

from arbiscale.config.processors import available_processors
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


_MOST_WORKERS = 8


def use_threads(wanted: int) -> None:
    """Compute with so many threads; 0 = torch's choice, but no more than there are processors."""
    torch.set_num_threads(wanted or min(torch.get_num_threads(), available_processors()))


def worker_count(wanted: int | None, device: torch.device, processes: int = 1) -> int:
    """Data loading processes of each training process; None takes none where the CPU itself computes."""
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return 0
    return max(1, min(_MOST_WORKERS, available_processors() // processes - 1))
