"""Parity with the published first stage and U-Net, and what makes it fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn

from arbiscale.errors import UserError
from arbiscale.interop import load_denoiser, load_first_stage
from arbiscale.networks.autoencoder import Autoencoder

if TYPE_CHECKING:
    from conftest import Published

FIRST_STAGES = ["first_stage_deterministic", "first_stage_kl"]
UNETS = ["unet_sr", "unet_generation"]
LARGEST_ERROR = 1e-4
LARGEST_RELATIVE_RMS = {"first stage": 1e-5, "unet": 4e-6}  # measured: 3.5e-6 and 1.4e-6

Change = Callable[[nn.Module], None]


def nothing(network: nn.Module) -> None:
    """As published."""


def errors(published: Published, change: Change = nothing) -> tuple[str, float, float]:
    """The kind of network, its greatest difference and its greatest relative RMS difference to any output."""
    if "ddconfig" in published.config:
        kind, found = "first stage", first_stage_outputs(published, change)
    else:
        kind, found = "unet", unet_outputs(published, change)
    assert found.keys() == published.outputs.keys()
    pairs = [(found[name], expected) for name, expected in published.outputs.items()]
    largest = max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
    return kind, largest, max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in pairs)


def first_stage_outputs(published: Published, change: Change) -> dict[str, Tensor]:
    autoencoder = load_first_stage(published.weights, **published.config)
    change(autoencoder)
    posterior = autoencoder.encode(published.inputs["image"])
    latent = posterior.mode()
    found = {"latent": latent, "decoder_features": autoencoder.decoder.features(latent, None)}
    if posterior.logvar is not None:
        found |= {"posterior_mean": posterior.mean, "posterior_logvar": posterior.logvar}
    for name in published.outputs:
        if name.startswith("decoded_"):
            height, width = map(int, name.removeprefix("decoded_").split("x"))
            found[name] = autoencoder.decode(latent, size=(height, width))
    return found


def unet_outputs(published: Published, change: Change) -> dict[str, Tensor]:
    denoiser = load_denoiser(published.weights, **published.config)
    change(denoiser)
    inputs = published.inputs
    return {"noise": denoiser(inputs["noisy_latent"], inputs["timestep"], inputs.get("condition"))}


@torch.no_grad()
@pytest.mark.parametrize("published", FIRST_STAGES + UNETS, indirect=True)
def test_outputs_equal_the_published_ones(published: Published) -> None:
    kind, largest, relative = errors(published)
    assert largest <= LARGEST_ERROR
    assert relative <= LARGEST_RELATIVE_RMS[kind]


def every(kind: type[nn.Module], network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


def the_other_epsilon(network: nn.Module) -> None:
    """1e-6 belongs to the first stage, 1e-5 to the U-Net."""
    for norm in every(nn.GroupNorm, network):
        norm.eps = 1e-5 if isinstance(network, Autoencoder) else 1e-6


def half_the_norm_groups(network: nn.Module) -> None:
    for norm in every(nn.GroupNorm, network):
        norm.num_groups = 16


def layer_norm(network: nn.Module) -> None:
    for norm in every(nn.GroupNorm, network):
        norm.num_groups = 1


def twice_the_heads(network: nn.Module) -> None:
    for attention in every(Attention, network):
        attention.heads *= 2


def padding_on_both_sides(network: nn.Module) -> None:
    for downsampling in every(Downsample2D, network):
        downsampling.padding, downsampling.conv.padding = 1, (1, 1)


def swapped_coordinates(network: nn.Module) -> None:
    weight = network.decoder.head.first.weight
    weight[:, -4:-2] = weight[:, [-3, -4]]


def swapped_cell(network: nn.Module) -> None:
    weight = network.decoder.head.first.weight
    weight[:, -2:] = weight[:, [-1, -2]]


def sine_before_cosine(network: nn.Module) -> None:
    network.network.time_proj.flip_sin_to_cos = False


ANYWHERE = [the_other_epsilon, half_the_norm_groups, layer_norm, twice_the_heads]
IN_FIRST_STAGES = [*ANYWHERE, padding_on_both_sides, swapped_coordinates, swapped_cell]
IN_UNETS = [*ANYWHERE, sine_before_cosine]


@torch.no_grad()
@pytest.mark.parametrize(
    ("published", "wrong"),
    [(name, wrong) for name in FIRST_STAGES for wrong in IN_FIRST_STAGES]
    + [(name, wrong) for name in UNETS for wrong in IN_UNETS],
    indirect=["published"],
)
def test_parity_notices(published: Published, wrong: Change) -> None:
    kind, _, relative = errors(published, wrong)
    assert relative > 1.5 * LARGEST_RELATIVE_RMS[kind]


@torch.no_grad()
@pytest.mark.parametrize("published", ["unet_sr"], indirect=True)
def test_parity_notices_another_order_of_the_heads(published: Published) -> None:
    for name, weight in published.weights.items():
        if "qkv" in name:  # all queries, all keys, all values, as the newer order has them
            published.weights[name] = weight.unflatten(0, (-1, 3, 16)).transpose(0, 1).flatten(0, 2)
    assert errors(published)[1] > 0.01


@pytest.mark.parametrize("published", ["first_stage_kl"], indirect=True)
def test_a_draw_from_the_posterior_is_the_generators(published: Published) -> None:
    posterior = load_first_stage(published.weights, **published.config).encode(published.inputs["image"])
    first, again, other = (posterior.sample(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert posterior.logvar is not None
    assert (first - posterior.mean).abs().mean() > 0.1 * (0.5 * posterior.logvar).exp().mean()


@pytest.mark.parametrize("published", ["unet_generation"], indirect=True)
def test_loaded_weights_are_copies_that_can_be_trained(published: Published) -> None:
    before = published.weights["out.2.bias"].clone()
    denoiser = load_denoiser(published.weights, **published.config)
    assert not denoiser.training
    denoiser.network.conv_out.bias.data.add_(1)
    assert torch.equal(published.weights["out.2.bias"], before)
    assert all(parameter.requires_grad for parameter in denoiser.parameters())


@pytest.mark.parametrize("published", ["unet_sr"], indirect=True)
def test_tensors_that_do_not_fit_are_named_with_both_shapes(published: Published) -> None:
    del published.weights["out.2.bias"]
    published.weights["label_emb.weight"] = torch.zeros(2)
    published.weights["time_embed.0.bias"] = torch.zeros(7)
    with pytest.raises(UserError) as caught:
        load_denoiser(published.weights, **published.config)
    assert str(caught.value) == (
        "weights: 1 missing: out.2.bias (3,); 1 unexpected: label_emb.weight; "
        "1 misshapen: time_embed.0.bias is (7,), not (128,)"
    )
