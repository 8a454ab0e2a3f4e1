"""What drawing costs: wall time and memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def now_seconds(device: torch.device) -> float:
    """A clock read after everything queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def peak_memory_mib(device: torch.device) -> float:
    """The most memory held so far: tensors on a CUDA device, else the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if _STATUS.exists():  # Linux, where getrusage counts the parent that a process was forked from, too
        (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024  # KiB
    import resource  # not on Windows

    per_unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_unit / 2**20
