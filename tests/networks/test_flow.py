"""The flow is a density, its two directions are inverse, and learning cannot make it singular."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.testing import assert_close

from arbiscale.networks.flow import ConditionalFlow, LowerUpper, invertible

AT_ONCE = 50_000


def flow_of(dimensions: int, layers: int = 10, disturbance: float = 0.3, seed: int = 0) -> ConditionalFlow:
    """A flow whose weights are disturbed by a share of their deviation, as learning disturbs them."""
    torch.manual_seed(seed)
    flow = ConditionalFlow(dimensions, layers)
    with torch.no_grad():
        for parameter in flow.parameters():
            deviation = parameter.std() if parameter.ndim > 1 else 0.3
            parameter.add_(torch.randn_like(parameter), alpha=float(disturbance * deviation))
    return flow


def condition_of(flow: ConditionalFlow, count: int, deviation: float = 0.3) -> Tensor:
    return deviation * torch.randn(count, flow.condition_channels)


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


# Learning as triangles


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("dimensions", [3, 27])
def test_nothing_learnt_leaves_the_matrices_and_their_names(dimensions: int) -> None:
    flow = nn.Sequential(flow_of(dimensions))
    before, names = weights_of(flow), [name for name, _ in flow.named_parameters()]
    values, condition = torch.randn(5, dimensions), condition_of(flow[0], 5)
    expected = flow[0](values, condition)[1]
    with invertible(flow):
        assert all("weight.original" in name or "bias" in name for name, _ in flow.named_parameters())
        assert_close(flow[0](values, condition)[1], expected, atol=1e-3, rtol=1e-5)
    after = flow.state_dict()
    assert list(after) == list(before)
    assert [name for name, _ in flow.named_parameters()] == names
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in flow.parameters())
    for name, tensor in before.items():
        assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)


def test_an_error_while_learning_leaves_matrices() -> None:
    flow = flow_of(3)
    names = list(flow.state_dict())
    with pytest.raises(ValueError, match="stop"), invertible(flow):
        raise ValueError("stop")
    assert list(flow.state_dict()) == names


def test_what_is_frozen_stays_to_the_bit() -> None:
    flow = flow_of(3).requires_grad_(False)
    before = weights_of(flow)
    with invertible(flow):
        assert list(flow.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in flow.state_dict().items())
    assert not any(parameter.requires_grad for parameter in flow.parameters())


def towards_its_mirror_image(linear: nn.Linear) -> list[float]:
    """Determinants while a matrix learns to be the one whose first row is turned round."""
    target = linear.weight.detach().clone()
    target[0] *= -1
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.2)
    determinants = []
    for _ in range(60):
        optimizer.zero_grad()
        (linear.weight - target).square().sum().backward()
        optimizer.step()
        determinants.append(float(linear.weight.detach().double().det()))
    return determinants


@pytest.mark.parametrize("seed", range(4))
def test_a_determinant_cannot_be_pulled_through_zero(seed: int) -> None:
    torch.manual_seed(seed)
    free = nn.Linear(3, 3)
    nn.init.orthogonal_(free.weight)
    before = float(free.weight.detach().det())
    triangles = copy.deepcopy(free)
    nn.utils.parametrize.register_parametrization(triangles, "weight", LowerUpper(3))
    assert towards_its_mirror_image(free)[-1] * before < -0.9
    assert min(after * before for after in towards_its_mirror_image(triangles)) > 0


@pytest.mark.parametrize(("dimensions", "lr"), [(3, 1.0), (27, 0.03)])
def test_a_huge_learning_rate_makes_no_matrix_singular(dimensions: int, lr: float) -> None:
    """Hundreds of times the published rate, towards data in a plane, whose likelihood has no maximum."""
    flow = flow_of(dimensions, layers=3)
    values = 0.1 * torch.randn(64, dimensions)
    values[:, -1] = values[:, 0]
    condition = condition_of(flow, 64)
    with invertible(flow):
        optimizer = torch.optim.Adam(flow.parameters(), lr=lr)
        signs = [torch.linalg.slogdet(linear.weight.double()).sign for linear in flow.linears]
        for _ in range(60):
            optimizer.zero_grad()
            loss = -flow(values, condition)[1].mean()
            loss.backward()
            optimizer.step()
            assert loss.isfinite()
            for linear, sign in zip(flow.linears, signs, strict=True):
                found = torch.linalg.slogdet(linear.weight.double())
                assert found.sign == sign
                assert found.logabsdet.isfinite()


@pytest.mark.parametrize("diagonal", [[0.0, 1.0, 1.0], [-1e-7, 2.0, 1.0], [-3.0, 0.5, 1e-3]])
def test_a_matrix_that_is_nearly_singular_can_be_learnt(diagonal: list[float]) -> None:
    linear = nn.Linear(3, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(diagonal).diag())
    nn.utils.parametrize.register_parametrization(linear, "weight", LowerUpper(3))
    assert_close(linear.weight.detach(), torch.tensor(diagonal).diag(), atol=2e-4, rtol=1e-5)
    assert linear.weight.det() != 0
    linear.weight.diagonal().abs().log().sum().backward()
    gradient = linear.parametrizations.weight.original.grad
    assert gradient.isfinite().all()
    assert gradient.diagonal().all()  # nothing is stuck


def test_autocast_rounds_no_triangle() -> None:
    flow = flow_of(27)
    with invertible(flow):
        exact = [linear.weight.detach().clone() for linear in flow.linears]
        with torch.autocast("cpu", torch.bfloat16):
            for linear, weight in zip(flow.linears, exact, strict=True):
                assert torch.equal(linear.weight, weight)


def learn(flow: ConditionalFlow, steps: int) -> None:
    generator = torch.Generator().manual_seed(7)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        values = 0.1 * torch.randn(32, flow.dimensions, generator=generator)
        (-flow(values, torch.zeros(32, flow.condition_channels))[1].mean()).backward()
        optimizer.step()


def test_what_triangles_learnt_is_in_the_matrices() -> None:
    flow = flow_of(3, layers=2)
    before = weights_of(flow)
    with invertible(flow):
        learn(flow, 5)
        values, condition = torch.randn(5, 3), condition_of(flow, 5)
        learnt = flow(values, condition)
    assert_close(flow(values, condition), learnt, atol=1e-5, rtol=1e-5)
    assert all((tensor - before[name]).abs().max() > 1e-3 for name, tensor in flow.state_dict().items())


def test_triangles_are_averaged_and_copied() -> None:
    flow = flow_of(3, layers=2)
    with invertible(flow):
        averaged = AveragedModel(flow, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
        averaged.update_parameters(flow)
        before, copied = weights_of(flow), copy.deepcopy(flow)
        learn(flow, 3)
        averaged.update_parameters(flow)
        assert all(torch.equal(tensor, before[name]) for name, tensor in copied.state_dict().items())
        for name, tensor in averaged.module.state_dict().items():
            assert_close(tensor, (before[name] + flow.state_dict()[name]) / 2)
        values, condition = torch.randn(5, 3), condition_of(flow, 5)
        assert averaged.module(values, condition)[1].isfinite().all()


def test_a_checkpoint_of_triangles_loads() -> None:
    flow, other = flow_of(3, layers=2, seed=0), flow_of(3, layers=2, seed=1)
    with invertible(flow):
        learn(flow, 3)
        kept = copy.deepcopy(flow.state_dict())
        values, condition = torch.randn(5, 3), condition_of(flow, 5)
        expected = flow(values, condition)
    with invertible(other):  # whose permutations and signs are others
        other.load_state_dict(kept)
        assert all(map(torch.equal, other(values, condition), expected))
    for name, tensor in flow.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
