"""Diffusers imported without what no network here uses, and nothing left changed by it."""

import subprocess
import sys

import pytest

WITHIN = """
import sys
from arbiscale.cli.lean_imports import lean_imports
try:
    with lean_imports():
        from diffusers.models.attention_processor import Attention
        from diffusers.utils import import_utils
        from arbiscale.networks.denoiser import Denoiser
        assert not import_utils.is_torchvision_available() and not import_utils.is_scipy_available()
        {within}
except KeyError:
    pass
"""


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("within", ["pass", "raise KeyError"])
def test_the_compiler_and_the_packages_are_there_again_afterwards(within: str) -> None:
    after = """
print(sorted({"torch._dynamo", "torchvision", "scipy.stats"} & set(sys.modules)))
print(import_utils.is_torchvision_available(), import_utils.is_scipy_available(), isinstance(Attention, type))
import torch
assert torch.compiler.is_compiling() is False
print(torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.ones(1, 2)).shape)
"""
    assert run(WITHIN.format(within=within) + after).splitlines() == [
        "[]",
        "True True True",
        "torch.Size([1, 2])",
    ]


def test_a_compiler_that_is_there_is_left_alone() -> None:
    script = """
import torch._dynamo, sys
from arbiscale.cli.lean_imports import lean_imports
before = sys.modules["torch._dynamo"]
with lean_imports():
    assert sys.modules["torch._dynamo"] is before
print(sys.modules["torch._dynamo"] is before, torch._dynamo is before)
"""
    assert run(script) == "True True\n"
