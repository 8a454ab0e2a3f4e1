"""Freed memory is used again without asking the system for pages."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from arbiscale.inference.memory import configure_malloc
if {keep}:
    configure_malloc()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(12 << 20)  # 48 MiB, more than glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="only glibc's allocator is adjusted, and torch on Linux comes for glibc alone",
)
def test_pages_are_asked_for_once() -> None:
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT.format(keep=keep)], capture_output=True, check=True
            ).stdout
        )
        for keep in (False, True)
    ]
    assert faults[1] < faults[0] / 10
