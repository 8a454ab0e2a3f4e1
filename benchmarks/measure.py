"""Time, memory, and the rate of the machine's own matrix product."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch

from arbiscale import __version__
from arbiscale.metrics.cost import now_seconds, peak_memory_mib
from arbiscale.tracking.environment import git_state, machine_state

_MATMUL_SECONDS = 0.2  # how long the product's rate is measured each time


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, everything queued on the device included."""
    before = now_seconds(device)
    function()
    return now_seconds(device) - before


def median_seconds(function: Callable[[], object], runs: int, device: torch.device) -> float:
    """Median wall time of several calls, after one that does not count."""
    function()
    return statistics.median(seconds(function, device) for _ in range(runs))


def matmul_rate(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of (rows, width) @ (width, width) into memory that is there."""
    left = torch.randn(rows, width, device=device).to(dtype)
    right = torch.randn(width, width, device=device).to(dtype)
    out = torch.empty(rows, width, dtype=dtype, device=device)

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(left, right.t(), out=out)

    multiply(2)
    times = max(1, int(_MATMUL_SECONDS / seconds(lambda: multiply(1), device)))
    return 2 * rows * width**2 * times / seconds(lambda: multiply(times), device)


def peak_mib(prepare: Callable[[], Callable[[], object]], device: torch.device) -> float:
    """The most memory a call needs, in MiB above what was held before it.

    Measured in a process of its own. On a CPU: the high-water mark of resident memory, which Linux lets
    us reset before the call (elsewhere it counts from the process's start). On CUDA: allocated tensors.

    Args:
        prepare: builds what is to be called; both are sent to the process, so functions of a module.
        device: where it runs.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_mib, prepare, device).result()


def _peak_mib(prepare: Callable[[], Callable[[], object]], device: torch.device) -> float:
    call = prepare()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / 2**20
    else:
        before = psutil.Process().memory_info().rss / 2**20
        clear = Path("/proc/self/clear_refs")
        if clear.exists():
            clear.write_text("5")  # man 5 proc: resets the peak resident set size
    result = call()  # held until the peak is read
    peak = peak_memory_mib(device) - before
    del result
    return peak


def machine(device: torch.device) -> dict[str, str]:
    """What the figures depend on: versions, commit, processor, threads."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    state = machine_state() | git_state(Path(__file__).parent)
    return {
        **{key: value for key, value in state.items() if key != "host" and not key.startswith("mlflow.")},
        "arbiscale": __version__,
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "accelerator": accelerator,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
