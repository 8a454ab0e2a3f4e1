"""Parity with the published LINF, of pixels and of patches, at its size and as it describes itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.interop.linf import (
    PublishedLINF,
    linf_arguments,
    linf_pairs,
    linf_settings,
    load_linf,
)
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.models.local_implicit import LocalImplicit
from arbiscale.networks.flow import ConditionalFlow
from arbiscale.networks.fourier_head import FourierHead

if TYPE_CHECKING:
    from conftest import Published

LARGEST_ERROR = 1e-4
BOTH = pytest.mark.parametrize("published", ["linf", "linf_patch"], indirect=True)


def queries(published: Published) -> tuple[Tensor, Tensor, Tensor]:
    inputs = published.inputs
    return inputs["low_resolution"], inputs["query_coordinates"], inputs["cell"]


@torch.no_grad()
def errors(published: Published, linf: PublishedLINF) -> dict[str, float]:
    """How far each output is from the published one, at most."""
    asked, inputs = queries(published), published.inputs
    found = {
        "features": linf.features(inputs["low_resolution"]),
        "log_likelihood": linf.log_likelihood(*asked, inputs["target"]),
    }
    for temperature in (0, 0.8):
        found[f"decoded_temperature_{temperature}"] = linf.decode(
            *asked, temperature=temperature, base_sample=inputs["base_sample"]
        )
    assert {name: each.shape for name, each in found.items()} == {
        name: each.shape for name, each in published.outputs.items()
    }
    return {name: float((each - published.outputs[name]).abs().max()) for name, each in found.items()}


@BOTH
def test_outputs_equal_the_published_ones(published: Published) -> None:
    found = errors(published, load_linf(published.weights, published.config["model"]))
    assert found.pop("features") < LARGEST_ERROR / 10
    assert max(found.values()) < LARGEST_ERROR / 4


def swap_coordinates(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    for tensor in head.frequency.parameters():
        tensor.copy_(tensor.roll(head.frequencies, 0))


def swap_cosine_and_sine(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    for tensor in head.amplitude.parameters():
        tensor.copy_(tensor.roll(head.frequencies, 0))


def count_columns_before_rows(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = head.hidden[0].weight
    weight.copy_(weight.unflatten(1, (2, 2, -1)).transpose(1, 2).flatten(1))


def leave_the_cell_out(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    head.phase.weight.zero_()


def scale_by_tanh(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    def affine(flow: ConditionalFlow, condition: Tensor) -> list[tuple[Tensor, Tensor]]:
        pairs = condition.unflatten(1, (flow.layers, 2, flow.dimensions))
        return [(pairs[:, layer, 0].tanh().exp(), pairs[:, layer, 1]) for layer in range(flow.layers)]

    monkeypatch.setattr(ConditionalFlow, "_affine", affine)


def ensemble_after_the_mlp(head: FourierHead, monkeypatch: pytest.MonkeyPatch) -> None:
    before = FourierHead._outputs

    def after(self: FourierHead, *arguments: Any) -> Tensor:
        *others, area = arguments
        alone = torch.eye(4)[:, :, None, None].expand(4, *area.shape)
        return sum(area[each] * before(self, *others, alone[each]) for each in range(4))

    monkeypatch.setattr(FourierHead, "_outputs", after)


@BOTH
@pytest.mark.parametrize(
    "go_wrong",
    [
        swap_coordinates,
        swap_cosine_and_sine,
        count_columns_before_rows,
        leave_the_cell_out,
        scale_by_tanh,
        ensemble_after_the_mlp,
    ],
)
@torch.no_grad()
def test_parity_notices(published: Published, go_wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    linf = load_linf(published.weights, published.config["model"])
    go_wrong(linf.network.head, monkeypatch)
    found = errors(published, linf)
    assert found.pop("features") < LARGEST_ERROR / 10
    assert min(found.values()) > 10 * LARGEST_ERROR


@BOTH
@torch.no_grad()
def test_samples_have_cells_of_their_own(published: Published) -> None:
    linf = load_linf(published.weights, published.config["model"])
    image, points, cell = queries(published)
    cell = cell * torch.tensor([[1.0, 1.0], [0.3, 0.7]])
    both = linf.decode(image, points, cell, temperature=0)
    for sample, drawn in enumerate(both):
        one = slice(sample, sample + 1)
        alone = linf.decode(image[one], points[one], cell[one], temperature=0)
        assert (drawn - alone[0]).abs().max() < 1e-5
    assert (both[1] - published.outputs["decoded_temperature_0"][1]).abs().max() > 10 * LARGEST_ERROR


@BOTH
@torch.no_grad()
def test_base_samples_are_drawn_where_none_are_given(published: Published) -> None:
    linf = load_linf(published.weights, published.config["model"])
    torch.manual_seed(1)
    drawn = linf.decode(*queries(published), temperature=0.5)
    torch.manual_seed(1)
    sample = torch.randn_like(published.inputs["base_sample"])
    assert torch.equal(drawn, linf.decode(*queries(published), temperature=0.5, base_sample=sample))


@BOTH
def test_gradients_reach_the_picture_and_the_weights(published: Published) -> None:
    linf = load_linf(published.weights, published.config["model"])
    image, points, cell = queries(published)
    image.requires_grad_()
    assert all(name.startswith("network.") for name in linf.state_dict())
    linf.log_likelihood(image, points, cell, published.inputs["target"]).mean().backward()
    assert image.grad is not None
    assert all(tensor.grad is not None and tensor.grad.any() for tensor in (image, *linf.parameters()))


@BOTH
def test_tensors_return_and_describe_themselves(published: Published) -> None:
    spec = published.config["model"]
    assert linf_arguments(published.weights) == spec
    network = load_linf(published.weights, json.dumps(spec)).network
    back = to_published(table_of(network, linf_pairs(network.settings)), network.state_dict())
    assert published.weights.keys() - back.keys() == {
        f"encoder.{name}_mean.{kind}" for name in ("sub", "add") for kind in ("weight", "bias")
    }
    assert all(torch.equal(tensor, published.weights[name]) for name, tensor in back.items())


EDSR: dict[str, Any] = {"name": "edsr-baseline", "args": {"no_upsampling": True}}
EDSR_SCALED = EDSR | {"args": {"no_upsampling": True, "res_scale": 0.1}}
EDSR_WITH_OUTPUT = EDSR | {"args": {}}
GREY = {"name": "rrdb", "args": {"in_nc": 1}}
RDN = {"name": "rdn", "args": {}}
FLOW = {"name": "flow", "args": {"name": "flow"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder_spec": RDN}, "encoder_spec.name: must be 'edsr-baseline' or 'rrdb' (got 'rdn')"),
        ({"encoder_spec": EDSR_WITH_OUTPUT}, "encoder_spec.args.no_upsampling: is missing"),
        ({"encoder_spec": EDSR_SCALED}, "encoder_spec.args.res_scale: must be a number, at least 1"),
        ({"encoder_spec": GREY}, "encoder_spec.args.in_nc: must be 3 (got 1)"),
        ({"imnet_spec": {"name": "mlp", "args": {}}}, "imnet_spec.name: must be 'flow' (got 'mlp')"),
        ({"flow_layers": 0}, "flow_layers: must be an integer, at least 1 (got 0)"),
        ({"hidden_dim": 33}, "hidden_dim: must be a multiple of 2 (got 33)"),
        ({"patch_size": 5}, "patch_size: must be 3 (got 5)"),
        ({"num_layers": 3}, "num_layers: unknown key; did you mean num_layer?"),
    ],
)
def test_other_specifications_are_refused_by_key(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_linf({}, {"encoder_spec": EDSR, "imnet_spec": FLOW} | changes)
    assert str(caught.value).startswith(f"spec: {said}")
    assert "\n" not in str(caught.value)


def test_a_specification_is_json() -> None:
    with pytest.raises(UserError, match="spec: is not valid JSON"):
        load_linf({}, "linf")


@pytest.mark.parametrize("published", ["linf"], indirect=True)
def test_tensors_that_do_not_fit_are_named(published: Published) -> None:
    published.weights["imnet.linears.4._weight"] = torch.zeros(3, 3)
    published.weights["coef.weight"] = torch.zeros(32, 16)
    del published.weights["phase.weight"]
    with pytest.raises(UserError) as caught:
        load_linf(published.weights, published.config["model"])
    assert str(caught.value) == (
        "weights: is not a LINF as published: 1 missing: phase.weight (16, 2); "
        "1 unexpected: imnet.linears.4._weight; "
        "1 misshapen: coef.weight is (32, 16), not (32, 16, 3, 3)"
    )


@pytest.mark.parametrize("published", ["linf"], indirect=True)
@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_flow_that_has_no_inverse_is_refused(published: Published, value: float) -> None:
    published.weights["imnet.linears.2._weight"][1] = value
    with pytest.raises(UserError, match=r"weights: imnet\.linears\.2\._weight has no inverse"):
        load_linf(published.weights, published.config["model"])


@pytest.mark.parametrize(
    ("changes", "encoder", "head"),
    [  # by hand, from the published layers' shapes
        ({}, 1_220_416, 705_216),
        ({"patch_size": 3}, 1_220_416, 836_760),
        ({"encoder_spec": {"name": "rrdb", "args": {}}}, 16_585_472, 705_216),
    ],
)
def test_published_size(changes: dict[str, Any], encoder: int, head: int) -> None:
    spec = {"encoder_spec": EDSR, "imnet_spec": FLOW} | changes  # all else as the published code has it
    with torch.device("meta"):
        network = LocalImplicit(linf_settings(spec, "spec", blend_patches=False))
    assert sum(tensor.numel() for tensor in network.encoder.parameters()) == encoder
    assert sum(tensor.numel() for tensor in network.head.parameters()) == head


def test_published_cost() -> None:
    spec = {"encoder_spec": EDSR, "imnet_spec": FLOW, "patch_size": 3}
    with torch.device("meta"):
        head = LocalImplicit(linf_settings(spec, "spec", blend_patches=False)).head
    assert isinstance(head, FourierHead)
    products = sum(layer.weight.numel() for layer in (*head.hidden, head.output))
    assert products == 1024 * 256 + 256 * 256 + 256 * 256 + 256 * 540  # 0.53 M a query
    assert products / 3**2 == pytest.approx(0.059e6, rel=0.01)  # a pixel
