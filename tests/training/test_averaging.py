from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from arbiscale.training.averaging import WeightAveraging
from arbiscale.training.module import TrainingModule


class Two(nn.Module):
    """Enough of a training: one weight that learns, one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.learns = nn.Parameter(torch.tensor([1.0, 10.0]))
        self.frozen = nn.Parameter(torch.tensor([7.0]), requires_grad=False)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        return {"all": (self, 0.1)}


def averaging(module: Two, decay: float) -> WeightAveraging:
    return WeightAveraging(cast(TrainingModule, module), decay)


def step(average: WeightAveraging, module: Two, value: float) -> None:
    module.learns.data.fill_(value)
    nothing: Any = None
    average.on_step_end(nothing, nothing, nothing)


def test_the_average_in_closed_form() -> None:
    module = Two()
    average = averaging(module, 0.25)
    expected = torch.tensor([1.0, 10.0])
    for count, value in enumerate([2.0, -3.0, 5.0, 1.0], start=1):
        step(average, module, value)
        decay = min(0.25, (1 + count) / (10 + count))  # 2/11, then 0.25
        expected = decay * expected + (1 - decay) * value
    with average.averaged():
        assert_close(module.learns.data, expected)


def test_weights_come_back_to_the_bit_also_after_a_failure() -> None:
    module = Two()
    average = averaging(module, 0.5)
    step(average, module, 0.1)
    kept = module.learns.data.clone()
    with average.averaged():
        inside = module.learns.data.clone()
    assert not torch.equal(inside, kept)
    assert torch.equal(module.learns.data, kept)
    with pytest.raises(RuntimeError), average.averaged():
        raise RuntimeError
    assert torch.equal(module.learns.data, kept)
    with average.averaged():
        assert torch.equal(module.learns.data, inside)


def test_finishing_leaves_the_average_in_the_weights() -> None:
    module = Two()
    average = averaging(module, 0.5)
    step(average, module, 3.0)
    with average.averaged():
        expected = module.learns.data.clone()
    average.finish()
    assert torch.equal(module.learns.data, expected)
    assert module.frozen.item() == 7


def test_no_decay_is_no_averaging() -> None:
    module = Two()
    average = averaging(module, 0.0)
    for value in (0.1, 0.7, -1e-7):
        step(average, module, value)
        kept = module.learns.data.clone()
        with average.averaged():
            assert torch.equal(module.learns.data, kept)


def test_the_state_continues_where_it_was() -> None:
    modules = [Two(), Two()]
    first, second = (averaging(module, 0.9) for module in modules)
    for value in (4.0, 2.0):
        step(first, modules[0], value)
    second.load_state_dict({name: each.clone() for name, each in first.state_dict().items()})
    for average, module in zip((first, second), modules, strict=True):
        step(average, module, 6.0)
        average.finish()
    assert torch.equal(modules[0].learns, modules[1].learns)


def test_frozen_networks_are_not_copied(make_module: Callable[[str], TrainingModule]) -> None:
    module = make_module("diffusion")
    denoiser = module.learning()["denoiser"][0]
    averages = [each for each in WeightAveraging(module, 0.9).state_dict().values() if each.ndim]
    assert len(averages) == len(list(denoiser.parameters()))


def test_the_distance_of_the_averages() -> None:
    module = Two()
    average = averaging(module, 0.5)
    assert average.distance() == 0
    module.learns.data = torch.tensor([1.0 + 3.0, 10.0 + 4.0])
    assert average.distance() == pytest.approx(5 / (16 + 196) ** 0.5)
