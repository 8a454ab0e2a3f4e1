"""The flow is a density, and its two directions are inverse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from arbiscale.networks.flow import ConditionalFlow

from .flows import condition_of, flow_of

AT_ONCE = 50_000


@torch.no_grad()
def test_each_layer_is_the_papers() -> None:
    flow = flow_of(3, layers=2).double()
    values, condition = torch.randn(5, 3).double(), condition_of(flow, 5).double()
    sample, log_density = flow(values, condition)
    for row in range(5):
        expected, logarithm = values[row], torch.tensor(0.0)
        for layer in range(2):
            logits, shift = condition[row, 6 * layer :][:3], condition[row, 6 * layer + 3 :][:3]
            scale = 1 / (1 + torch.exp(-logits - 2)) + 1e-4
            expected = (flow.linears[layer].weight @ expected + flow.linears[layer].bias) * scale + shift
            logarithm = logarithm + scale.log().sum() + flow.linears[layer].weight.det().abs().log()
        expected = flow.linears[2].weight @ expected + flow.linears[2].bias
        logarithm = logarithm + flow.linears[2].weight.det().abs().log()
        base = torch.distributions.Normal(0, 1).log_prob(expected).sum()
        assert_close(sample[row], expected)
        assert_close(log_density[row], logarithm + base)


@pytest.mark.parametrize("dimensions", [3, 27])
def test_the_log_likelihood_is_the_change_of_variables(dimensions: int) -> None:
    flow = flow_of(dimensions)
    values, condition = 0.1 * torch.randn(4, dimensions), condition_of(flow, 4)
    log_density = flow(values, condition)[1]
    for row in range(4):
        one = condition[row : row + 1]

        def to_base(value: Tensor, one: Tensor = one) -> Tensor:
            return flow(value[None], one)[0][0]

        volume = torch.autograd.functional.jacobian(to_base, values[row]).slogdet().logabsdet
        base = -0.5 * (to_base(values[row]).square() + math.log(2 * math.pi)).sum()
        assert_close(log_density[row], base + volume, atol=1e-3, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_the_pixel_flow_integrates_to_one(seed: int) -> None:
    flow = flow_of(3, seed=seed)
    condition = condition_of(flow, 1)
    drawn = flow.inverse(torch.randn(20_000, 3), condition.expand(20_000, -1))
    low, high = drawn.mean(0) - 6 * drawn.std(0), drawn.mean(0) + 6 * drawn.std(0)
    axes = [torch.linspace(float(a), float(b), 81) for a, b in zip(low, high, strict=True)]
    grid = torch.cartesian_prod(*axes)
    volume = math.prod(float(axis[1] - axis[0]) for axis in axes)
    total = sum(
        float(flow(part, condition.expand(len(part), -1))[1].double().exp().sum())
        for part in grid.split(AT_ONCE)
    )
    assert abs(total * volume - 1) < 0.02


@torch.no_grad()
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16 autocast"])
@pytest.mark.parametrize(
    ("dimensions", "disturbance", "samples"), [(3, 0.0, 10**6), (3, 0.3, 10**6), (27, 0.3, 10**5)]
)
def test_a_million_samples_return(dimensions: int, disturbance: float, samples: int, autocast: bool) -> None:
    flow = flow_of(dimensions, disturbance=disturbance)
    condition = condition_of(flow, AT_ONCE)
    largest = 0.0
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for _ in range(samples // AT_ONCE):
            values = torch.rand(AT_ONCE, dimensions) * 2 - 1  # the whole range of images
            sample = flow(values, condition)[0]
            returned = flow.inverse(sample, condition)
            assert sample.dtype == returned.dtype == torch.float32
            largest = max(largest, float((returned - values).abs().max()))
    assert largest <= 1e-4


@torch.no_grad()
def test_before_training_it_draws_a_small_residual() -> None:
    flow = ConditionalFlow(27, 10)
    condition = torch.zeros(4000, flow.condition_channels)
    assert flow.inverse(torch.zeros(4000, 27), condition).abs().max() == 0
    drawn = flow.inverse(torch.randn(4000, 27), condition)
    assert 0.095 < float(drawn.std()) < 0.105


@torch.no_grad()
def test_one_inversion_serves_many_calls() -> None:
    flow = flow_of(3)
    sample, condition = torch.randn(9, 3), condition_of(flow, 9)
    assert torch.equal(flow.inverse(sample, condition, flow.invert()), flow.inverse(sample, condition))


@torch.no_grad()
def test_weights_in_bfloat16_are_computed_with_in_float32() -> None:
    flow = flow_of(3).bfloat16()
    values, condition = torch.randn(9, 3), condition_of(flow, 9)
    sample, log_density = flow(values, condition)
    assert sample.dtype == log_density.dtype == torch.float32
    assert_close(flow.inverse(sample, condition), values, atol=1e-4, rtol=0)


def test_gradients_of_both_directions_are_those_of_the_function() -> None:
    flow = flow_of(3, layers=2).double()
    values = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    condition = condition_of(flow, 2).double().requires_grad_()
    names, parameters = zip(*flow.named_parameters(), strict=True)

    def both(values: Tensor, condition: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(names, weights, strict=True))
        sample, log_density = torch.func.functional_call(flow, given, (values, condition))
        drawn = torch.func.functional_call(
            Inverse(flow), {f"flow.{n}": w for n, w in given.items()}, (values, condition)
        )
        return sample, log_density, drawn

    assert torch.autograd.gradcheck(both, (values, condition, *parameters))


class Inverse(nn.Module):
    """A flow's other direction as `forward`."""

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, sample: Tensor, condition: Tensor) -> Tensor:
        return self.flow.inverse(sample, condition)
