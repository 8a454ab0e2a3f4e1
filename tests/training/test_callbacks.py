from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arbiscale.config.training import TrainingSettings
from arbiscale.training.averaging import WeightAveraging
from arbiscale.training.callbacks import Curves, StepSeeds, Validations
from arbiscale.training.module import TrainingModule, Validation, derive_seed


class Drawer(TrainingModule):
    """Validates by drawing a number and looking at its weight."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__("drawer", settings)
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, 2)
        self.modes: list[tuple[bool, bool]] = []

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        return {"network": (self.network, 0.1)}

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        return {"loss": self.network(images).mean()}

    def validate(self, images: Tensor) -> Validation:
        self.modes.append((self.training, torch.is_grad_enabled()))
        metrics = {"drawn": float(torch.rand(())), "weight": self.network.weight.item()}
        return Validation(metrics, {"picture": torch.zeros(4, 6, 3, dtype=torch.uint8).numpy()})


@pytest.fixture
def drawer(training_settings: Callable[..., TrainingSettings]) -> Drawer:
    return Drawer(training_settings())


def at_step(step: int, max_steps: int = 10) -> Any:
    """Enough of a trainer."""
    return SimpleNamespace(
        global_step=step,
        max_steps=max_steps,
        world_size=1,
        global_rank=0,
    )


def test_a_steps_draws_depend_on_seed_name_and_batch_alone() -> None:
    def draws(seed: int, name: str, steps: range, steps_a_batch: int = 1) -> list[float]:
        found = []
        for step in steps:
            module = SimpleNamespace(name=name, batch_of=lambda step: step // steps_a_batch)
            StepSeeds(seed).on_train_batch_start(at_step(step), module, None, 0)
            found.append(float(torch.rand(())))
        return found

    uninterrupted = draws(0, "a", range(6))
    assert len(set(uninterrupted)) == 6
    torch.rand(17)
    assert draws(0, "a", range(3, 6)) == uninterrupted[3:]
    twice = [draw for draw in uninterrupted[:3] for _ in range(2)]
    assert draws(0, "a", range(6), steps_a_batch=2) == twice
    assert draws(0, "b", range(6)) != uninterrupted
    assert draws(1, "a", range(6)) != uninterrupted


def test_validation_of_the_averaged_weights(drawer: Drawer, recorder: Any) -> None:
    averaging = WeightAveraging(drawer, 0.5)
    drawer.network.weight.data.fill_(5)  # the average is still 2
    validations = Validations([torch.zeros(1, 3, 4, 4)], averaging, recorder, 4, seed=0)
    drawer.train()
    for step in range(1, 11):
        torch.manual_seed(step)
        validations.on_step_end(at_step(step), drawer, None)
    assert recorder.steps_of("validation/weight") == [4, 8, 10]
    assert {metrics["validation/weight"] for _, metrics in recorder.metrics} == {2.0}
    assert len({metrics["validation/drawn"] for _, metrics in recorder.metrics}) == 1  # curves compare
    assert recorder.images == [(step, "validation/picture", (4, 6, 3)) for step in (4, 8, 10)]
    assert drawer.modes == [(False, False)] * 3
    assert drawer.training
    assert drawer.network.weight.item() == 5


def test_pictures_begin_before_the_first_step(drawer: Drawer, recorder: Any) -> None:
    """MLflow's charts open at step 0, and say there that no picture was logged."""
    validations = Validations(
        [torch.zeros(1, 3, 4, 4)] * 2, WeightAveraging(drawer, 0.5), recorder, 4, seed=0
    )
    drawer.train()
    for step in (0, 4):  # begun, and resumed
        validations.on_train_start(at_step(step), drawer)
    assert recorder.images == [(0, "validation/picture", (4, 6, 3))]
    assert recorder.metrics == []
    assert drawer.modes == [(False, False)]
    assert drawer.training


def test_validation_is_the_mean_over_all_crops(drawer: Drawer, recorder: Any) -> None:
    averaging = WeightAveraging(drawer, 0.5)
    batches = [torch.zeros(12, 3, 4, 4), torch.zeros(12, 3, 4, 4), torch.zeros(1, 3, 4, 4)]
    validations = Validations(batches, averaging, recorder, 4, seed=0)
    validations.on_step_end(at_step(4), drawer, None)
    draws = []
    for number in range(3):
        torch.manual_seed(derive_seed(0, "validation", number))
        draws.append(float(torch.rand(())))
    ((_, metrics),) = recorder.metrics
    assert metrics["validation/drawn"] == pytest.approx((12 * draws[0] + 12 * draws[1] + draws[2]) / 25)
    assert len(recorder.images) == 1  # of the first batch
    assert len(drawer.modes) == 3


def test_crops_of_every_size_are_shown(drawer: Drawer, recorder: Any) -> None:
    batches = [torch.zeros(2, 3, *size) for size in ((4, 4), (4, 4), (3, 6), (3, 6))]
    Validations(batches, WeightAveraging(drawer, 0.5), recorder, 4, seed=0).on_step_end(
        at_step(4), drawer, None
    )
    assert [name for _, name, _ in recorder.images] == ["validation/picture", "validation/picture_3x6"]


def test_curves_hold_the_steps_change_as_a_share_of_the_weights(drawer: Drawer, recorder: Any) -> None:
    curves = Curves(recorder, WeightAveraging(drawer, 0.5), every_steps=3)
    optimizer = torch.optim.SGD(drawer.network.parameters(), lr=1.0)
    trainer = at_step(0)
    trainer.optimizers = [optimizer]
    curves.on_train_start(trainer)
    for step in range(6):
        trainer.global_step = step
        curves.on_before_optimizer_step(trainer, drawer, optimizer)
        drawer.network.weight.data.add_(0.5)  # from 2
        trainer.global_step = step + 1
        curves.on_step_end(trainer, drawer, None)
    ratios = [values for _, values in recorder.metrics if "optimization/update_to_weight" in values]
    found = [values["optimization/update_to_weight"] for values in ratios]
    assert found == pytest.approx([0.5 / 3.5, 0.5 / 5])
