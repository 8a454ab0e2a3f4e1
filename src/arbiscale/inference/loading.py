"""Opening a model folder: which façade it gets, where it runs and in what precision."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.inference.drawing_model import Precision
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.local_implicit_model import LocalImplicitModel
from arbiscale.inference.memory import configure_malloc
from arbiscale.inference.model import Model
from arbiscale.inference.origin import find_origin
from arbiscale.models.device import choose_device
from arbiscale.models.folder import (
    holds_local_implicit,
    load_autoencoder,
    load_latent_diffusion,
    load_local_implicit,
    read_config,
    read_local_implicit_config,
)


def load_model(
    where: str | Path,
    device: str = "auto",
    *,
    precision: Precision = "float32",
    compiled: bool = False,
    sampling: SamplingSettings | None = None,
) -> Model:
    """Load a model from a folder (a stage's output, a packed or an imported model) or from the registry.

    Args:
        where: the folder, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, or `pretrained`, the model that
            the package ships.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: of matrix products and convolutions; sums and norms stay in float32.
        compiled: compile the networks on first use, for many pictures of one size.
        sampling: how to draw, instead of the model's own; a LIIF or a LINF has none.

    Raises:
        UserError: no model there, a damaged one, a device or compiler that this machine does not have, or
            an unknown precision.
    """
    if not isinstance(where, str | Path):
        raise UserError(f"model {where!r}: must be a folder or models:/NAME@ALIAS")
    origin = find_origin(where)
    _refuse_file(origin.folder)
    chosen = choose_device(device)
    if precision not in get_args(Precision):
        raise UserError(f"precision {precision!r}: must be one of {', '.join(get_args(Precision))}")
    if chosen.type == "cpu":
        configure_malloc()
    model = _open(origin.folder, chosen, precision, sampling)
    model.origin = origin
    if chosen.type != "mps":  # as its convolutions read
        for network in model.networks():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled:
        compile_networks(model.networks(), chosen)
    return model


def _refuse_file(path: Path) -> None:
    if path.is_file():
        raise UserError(
            f"{path}: is a file, not a model folder; published weights become one by "
            f"`arbiscale import-checkpoint {path} --to DIR`"
        )


def _open(
    folder: Path, device: torch.device, precision: Precision, sampling: SamplingSettings | None
) -> Model:
    """What runs the model of a folder, by what its config.json says."""
    if holds_local_implicit(folder):
        drawing = load_local_implicit(folder).to(device, torch.float32).requires_grad_(False)
        return LocalImplicitModel(read_local_implicit_config(folder), drawing, device, precision)
    config = read_config(folder)
    network = (
        load_latent_diffusion(folder) if config.diffusion else load_autoencoder(folder, config.autoencoder)
    )
    network = network.to(device, torch.float32).requires_grad_(False)  # whatever torch makes by default
    return LatentModel(config, network, device, precision, sampling)


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
