"""Tables of tensors read both ways, to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from arbiscale.interop import load_denoiser, load_first_stage
from arbiscale.interop.configurations import denoiser_settings
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.tensors import Mismatch, Pair, module, table_of, to_own, to_published
from arbiscale.interop.unet_names import unet_pairs

if TYPE_CHECKING:
    from conftest import Published


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("published", ["first_stage_deterministic", "first_stage_kl"], indirect=True)
def test_a_first_stage_returns_to_its_published_names(published: Published) -> None:
    autoencoder = load_first_stage(published.weights, **published.config)
    table = table_of(autoencoder, first_stage_pairs(autoencoder.settings))
    assert equal(to_published(table, autoencoder.state_dict()), published.weights)


@pytest.mark.parametrize("published", ["unet_sr", "unet_generation"], indirect=True)
def test_a_unet_returns_to_its_published_names(published: Published) -> None:
    denoiser = load_denoiser(published.weights, **published.config)
    table = table_of(denoiser, unet_pairs(denoiser_settings(published.config["unet_config"])))
    assert equal(to_published(table, denoiser.state_dict()), published.weights)


def test_each_head_has_its_query_key_and_value_together() -> None:
    pair = Pair("qkv", ("q", "k", "v"), kernel=(1,), heads=2)
    fused = torch.arange(6.0)[:, None, None].expand(6, 2, 1)  # rows q0 k0 v0 q1 k1 v1
    own = pair.to_own(fused)
    assert {name: tensor[:, 0].tolist() for name, tensor in own.items()} == {
        "q": [0, 3],
        "k": [1, 4],
        "v": [2, 5],
    }
    assert pair.published_shape(own) == (6, 2, 1)
    assert torch.equal(pair.to_published(own), fused)


def test_a_convolution_of_one_pixel_is_a_linear_layer() -> None:
    weight, bias = module("q", "to_q", kernel=(1, 1))
    tensor = torch.rand(3, 5, 1, 1)
    assert weight.to_own(tensor)["to_q.weight"].shape == (3, 5)
    assert torch.equal(weight.to_published(weight.to_own(tensor)), tensor)
    assert bias == Pair("q.bias", ("to_q.bias",))


def test_half_precision_becomes_single() -> None:
    (tensor,) = to_own([Pair("a", ("b",))], {"a": torch.ones(2, dtype=torch.float16)}).values()
    assert tensor.dtype == torch.float32


def test_a_table_leaves_nothing_of_the_network_out() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    pairs = [*module("a", "0"), *module("absent", "7")]
    with pytest.raises(ValueError, match=r"have no 1.bias, 1.weight"):
        table_of(network, pairs)
    assert len(table_of(network, [*pairs, *module("b", "1")])) == 4


def test_a_long_list_is_cut() -> None:
    mismatch = Mismatch(missing=[f"m{index}" for index in range(10)], misshapen=["s is (1,), not (2,)"])
    assert str(mismatch) == (
        "10 missing: m0, m1, m2, m3, m4, m5, m6, m7 and 2 more; 1 misshapen: s is (1,), not (2,)"
    )
    assert mismatch
    assert not Mismatch()
