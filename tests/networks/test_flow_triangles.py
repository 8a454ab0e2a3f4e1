"""The flow learns as triangles: no matrix becomes singular, and what they learnt is in the matrices."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.testing import assert_close

from arbiscale.networks.flow import ConditionalFlow, LowerUpper, invertible

from .flows import condition_of, flow_of


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
