"""Compiling networks for many pictures of one size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import torch
from torch import nn

from arbiscale.errors import UserError


def compile_networks(networks: Sequence[nn.Module], device: torch.device) -> None:
    """Let torch compile each network when it is first called, once more where shapes change, then for any.

    Raises:
        UserError: what torch compiles with is missing.
    """
    if device.type == "cpu":
        compilers = [os.environ.get("CXX"), "g++", "clang++", "cl"]
        if not any(name and shutil.which(name) for name in compilers):
            raise UserError("--compile: needs a C++ compiler (g++ or clang++); install one or leave it out")
    for network in networks:
        network.compile()
