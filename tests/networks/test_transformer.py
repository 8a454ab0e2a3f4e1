import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from arbiscale.networks.transformer import FeatureTransformer, position_angles, rotate

SIZES = [(1, 1), (4, 4), (3, 7), (16, 2)]


def transformer(layers: int = 2, *, trained: bool = True) -> FeatureTransformer:
    torch.manual_seed(0)
    network = FeatureTransformer(channels=16, head_width=8, layers=layers)
    if trained:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return network


@torch.no_grad()
@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_identity_until_it_is_trained(size: tuple[int, int]) -> None:
    features = torch.randn(2, 16, *size)
    assert torch.equal(transformer(trained=False)(features), features)
    assert not torch.allclose(transformer()(features), features, atol=0.1)


def test_gradients_reach_every_weight_after_the_first_step() -> None:
    network = transformer(trained=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    moved = []
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.randn(2, 16, 3, 4)).pow(3).sum().backward()
        moved.append({name for name, each in network.named_parameters() if each.grad.abs().max() > 0})
        optimizer.step()
    outputs = {name for name, _ in network.named_parameters() if "_output." in name}
    assert moved[0] == outputs
    assert moved[1] == {name for name, _ in network.named_parameters()}


@torch.no_grad()
def test_a_layer_in_closed_form() -> None:
    """One head after another, each pixel looking at all of them."""
    network, features = transformer(layers=1), torch.randn(1, 16, 2, 3)
    (layer,) = network.layers
    tokens = features[0].flatten(1).T  # (6, 16)
    angles = position_angles(2, 3, 8)

    normed = functional.layer_norm(tokens, (16,), layer.attention_norm.weight, layer.attention_norm.bias)
    queries, keys, values = layer.queries_keys_values(normed).chunk(3, dim=1)
    heads = []
    for head in (slice(0, 8), slice(8, 16)):
        scores = rotate(queries[:, head], angles) @ rotate(keys[:, head], angles).T / 8**0.5
        heads.append(scores.softmax(dim=1) @ values[:, head])
    tokens = tokens + layer.attention_output(torch.cat(heads, dim=1))
    normed = functional.layer_norm(tokens, (16,), layer.mlp_norm.weight, layer.mlp_norm.bias)
    tokens = tokens + layer.mlp_output(functional.gelu(layer.mlp_hidden(normed)))

    assert_close(network(features)[0].flatten(1).T, tokens, atol=1e-5, rtol=1e-5)


def test_positions_are_a_pixels_row_and_column() -> None:
    angles = position_angles(2, 3, 8).reshape(2, 3, 4)
    assert_close(angles[1, 2], torch.tensor([1.0, 0.1, 2.0, 0.2]))  # speeds 1 and 100 ** (-1 / 2)
    assert not angles[0, 0].any()


def test_attention_sees_only_how_far_pixels_lie_apart() -> None:
    queries, keys = torch.randn(1, 8), torch.randn(1, 8)
    angles = position_angles(40, 50, 8).reshape(40, 50, 4)

    def score(one: tuple[int, int], other: tuple[int, int]) -> Tensor:
        return (rotate(queries, angles[one]) * rotate(keys, angles[other])).sum()

    assert_close(score((3, 4), (9, 1)), score((33, 44), (39, 41)), atol=1e-4, rtol=0)
    assert not torch.isclose(score((3, 4), (9, 1)), score((3, 4), (1, 9)), atol=1e-3)


def test_rotating_keeps_lengths() -> None:
    vectors, angles = torch.randn(2, 5, 6, 8), torch.randn(6, 4) * 9
    assert_close(rotate(vectors, angles).norm(dim=-1), vectors.norm(dim=-1))


@torch.no_grad()
@pytest.mark.parametrize("size", SIZES)
def test_where_a_pixel_stands_matters_and_what_it_sees_is_everything(size: tuple[int, int]) -> None:
    features = torch.randn(1, 16, *size)
    changed = features.clone()
    changed[:, 0, -1, -1] += 3
    difference = (transformer()(changed) - transformer()(features)).abs().sum(1)
    assert (difference > 1e-4).all()
    if size == (3, 7):
        swapped = transformer()(features.flip(3)).flip(3)
        assert not torch.allclose(swapped, transformer()(features), atol=1e-3)


def test_it_runs_in_half_precision() -> None:
    features = torch.randn(2, 16, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        drawn = transformer()(features)
    assert_close(drawn.float(), transformer()(features), atol=0.2, rtol=0.1)
