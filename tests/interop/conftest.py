"""Published networks: as the reference data hold them, and made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from arbiscale.config.params import Params
from arbiscale.config.section import read_yaml
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.interop.unet_names import unet_pairs
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

ROOT = Path(__file__).parents[2]


class Published:
    """A published network: its configuration, weights, inputs and outputs."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            self.config = {name: json.loads(text) for name, text in file.metadata().items()}
        self.weights, self.inputs, self.outputs = (
            {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
            for kind in ("weights.", "input.", "output.")
        )


@pytest.fixture
def published(request: pytest.FixtureRequest, shared: Path) -> Published:
    """The published network of the name that the test is parametrized with."""
    return Published(shared / "fixtures" / f"{request.param}.safetensors")


LEVELS = {"width": 32, "multipliers": [1, 1, 2], "blocks": 1, "attention": True}
OVERRIDES: dict[str, Any] = {  # a published configuration, with networks as small as 32 norm groups allow
    "data": {"augmentation": {"crop_px": 64}, "factor": 4},
    "autoencoder": {
        "network": {
            "latent_channels": 3,
            "posterior": "deterministic",
            "residual": False,
            "norm_groups": 32,
            "encoder": {"unshuffle": 1, **LEVELS},
            "decoder": LEVELS,
            "branch": {"blocks": 0},
            "head": {"kind": "liif", "width": 64, "layers": 4},
        },
        "latent_dropout": 0.0,
        "target_px": [32, 64],
    },
    "diffusion": {
        "task": "super_resolution",
        "latent_normalization": "scalar",
        "process": {"kind": "diffusion", "prediction": "epsilon", "zero_terminal_snr": False},
        "denoiser": {
            "width": 32,
            "multipliers": [1, 2, 2],
            "blocks": 1,
            "attention_factors": [2, 4],
            "middle_attention": True,
            "attention_width": 16,
            "norm_groups": 32,
        },
    },
}
"""The networks of the reference data's first_stage_deterministic and unet_sr."""


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: merged(below[key], value) if isinstance(value, dict) and key in below else value
        for key, value in above.items()
    }
    return below | both


@pytest.fixture(scope="session")
def params() -> Callable[..., Params]:
    """Makes the shipped parameters with small published networks; keywords (sections) go on top."""

    def make(**changes: Any) -> Params:
        shipped = read_yaml(ROOT / "params.yaml")
        return Params.model_validate(merged(merged(shipped, OVERRIDES), changes))

    return make


def random_state(network: torch.nn.Module, pairs: Any, seed: int) -> dict[str, Tensor]:
    """A published state dict of random numbers, each tensor its own."""
    generator = torch.Generator().manual_seed(seed)
    state = to_published(table_of(network, pairs), network.state_dict())
    return {name: 0.1 * torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}


@pytest.fixture(scope="session")
def first_stage_state(params: Callable[..., Params]) -> dict[str, Tensor]:
    """The state of a first stage, as arbitrary-scale-diffusion names it."""
    settings = params().autoencoder.network
    return random_state(Autoencoder(settings), first_stage_pairs(settings), seed=1)


@pytest.fixture(scope="session")
def unet_state(params: Callable[..., Params]) -> dict[str, Tensor]:
    """The state of a U-Net, as latent diffusion names it."""
    settings = params().diffusion.denoiser
    return random_state(Denoiser(settings, 3, 3), unet_pairs(settings), seed=2)


@pytest.fixture(scope="session")
def whole_state(
    params: Callable[..., Params], first_stage_state: dict[str, Tensor], unet_state: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The state of a trained model: both networks, moving averages that differ, latent scale and schedule."""
    alpha_bar = DiffusionProcess(params().diffusion.process).alpha_bar
    unet = {f"model.diffusion_model.{name}": tensor for name, tensor in unet_state.items()}
    averages = {
        f"model_ema.diffusion_model{name.replace('.', '')}": 0.9 * tensor
        for name, tensor in unet_state.items()
    }
    return {
        **{f"first_stage_model.{name}": tensor for name, tensor in first_stage_state.items()},
        **unet,
        **averages,
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(7),
        "betas": 1 - alpha_bar,
        "alphas_cumprod": alpha_bar,
        "sqrt_alphas_cumprod": alpha_bar.sqrt(),
        "scale_factor": torch.tensor(0.5),
        "first_stage_model.loss.discriminator.main.0.weight": torch.zeros(2),
    }


@pytest.fixture(scope="session")
def condition_state(whole_state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first stage's encoder once more, under the name of the condition's."""
    return {
        name.replace("first_stage_model.", "cond_stage_model.", 1): tensor
        for name, tensor in whole_state.items()
        if name.startswith("first_stage_model.encoder.")
    }
