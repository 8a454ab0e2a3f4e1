from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from arbiscale.config.training import TrainingSettings
from arbiscale.errors import StateMismatchError, UserError
from arbiscale.imaging.draws import shares
from arbiscale.training.checkpoint_files import checkpoints
from arbiscale.training.module import TrainingModule, Validation, derive_seed, rate_factor

from .conftest import different

SettingsMaker = Callable[..., TrainingSettings]


def test_warm_up_is_linear_and_ends_at_the_whole_rate(training_settings: SettingsMaker) -> None:
    settings = training_settings(steps=100, warmup_steps=4, schedule="constant")
    assert [rate_factor(step, settings) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rate_factor(99, settings) == 1


def test_a_cosine_falls_from_one_to_nothing(training_settings: SettingsMaker) -> None:
    settings = training_settings(steps=104, warmup_steps=4, schedule="cosine")
    assert rate_factor(4, settings) == 1
    assert rate_factor(29, settings) == pytest.approx((1 + 0.5**0.5) / 2)
    assert rate_factor(54, settings) == pytest.approx(0.5)
    assert 0 < rate_factor(103, settings) < 1e-3  # the last step still moves
    assert rate_factor(104, settings) == rate_factor(200, settings) == 0


def test_a_rate_is_halved_at_every_fifth_but_the_last(training_settings: SettingsMaker) -> None:
    settings = training_settings(steps=10, warmup_steps=0, schedule="halved")
    rates = [rate_factor(step, settings) for step in range(11)]
    assert rates == [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 16, 1 / 16, 1 / 16]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "halved"])
def test_without_warm_up_the_first_step_has_the_whole_rate(
    training_settings: SettingsMaker, schedule: str
) -> None:
    assert rate_factor(0, training_settings(warmup_steps=0, schedule=schedule)) == 1


def test_a_training_that_is_all_warm_up(training_settings: SettingsMaker) -> None:
    settings = training_settings(steps=2, warmup_steps=2)
    assert [rate_factor(step, settings) for step in (0, 1)] == [0.5, 1]


class TwoNetworks(TrainingModule):
    """Learns two networks at two rates; part of the second is frozen."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__("two", settings)
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.b.bias.requires_grad_(False)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        return {"a": (self.a, 0.1), "b": (self.b, 0.02)}

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        return {"loss": self.a(images).sum(), "other": images.sum()}

    def validate(self, images: Tensor) -> Validation:
        return Validation({})


def test_each_network_learns_at_its_own_rate(training_settings: SettingsMaker) -> None:
    module = TwoNetworks(training_settings(warmup_steps=2, weight_decay=0.3))
    configured = module.configure_optimizers()
    optimizer = configured["optimizer"]
    assert isinstance(optimizer, torch.optim.AdamW)
    groups = [(group["params"], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert groups[0] == ([module.a.weight, module.a.bias], 0.05, 0.3)  # half warmed up
    assert groups[1] == ([module.b.weight], 0.01, 0.3)


def test_a_step_keeps_the_means_of_its_parts(training_settings: SettingsMaker) -> None:
    module = TwoNetworks(training_settings())
    module.trainer = Mock(world_size=1, global_step=0)
    module.shares = shares(2, 1, 0, 2)
    loss = module.training_step(torch.ones(1, 2), 2)
    module.training_step(torch.full((1, 2), 3.0), 3)
    loss.backward()
    module.on_before_optimizer_step(torch.optim.SGD(module.a.parameters()))
    assert module.step_values["train/other"] == 4
    assert not torch.as_tensor(module.step_values["train/loss"]).requires_grad
    assert module.step_values["optimization/gradient_norm"] == pytest.approx(6**0.5)
    assert module.step_values["optimization/skipped_steps"] == 0


def test_seeds_are_the_same_everywhere_and_different_for_every_part() -> None:
    assert derive_seed(0, "diffusion", 3) == 5720310639157201435
    parts = [(seed, name, step) for seed in (0, 1) for name in ("a", "b") for step in range(100)]
    seeds = {derive_seed(*each) for each in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_a_checkpoint_of_other_networks_is_refused(training_settings: SettingsMaker) -> None:
    module = TwoNetworks(training_settings())
    state = module.state_dict()
    module.on_load_checkpoint({"state_dict": state, "global_step": 1})
    name = sorted(state)[0]
    for changed in ({**state, name: torch.zeros(99)}, {**state, "more": torch.zeros(1)}):
        with pytest.raises(StateMismatchError, match=f"{name}: \\(99,\\)|more: \\(1,\\), wanted none"):
            module.on_load_checkpoint({"state_dict": changed})
    with pytest.raises(StateMismatchError, match=f"{name}: missing"):
        module.on_load_checkpoint({"state_dict": {key: state[key] for key in state if key != name}})


class Poisoned(torch.utils.data.Dataset[Tensor]):
    """A stream that is not a number at some samples."""

    def __init__(self, crops: Any, samples: range) -> None:
        self.crops, self.samples = crops, samples

    def __getitem__(self, index: int) -> Tensor:
        crop: Tensor = self.crops[index]
        return crop * float("nan") if index in self.samples else crop


def test_a_step_that_is_not_finite_is_skipped_and_counted(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    tmp_path: Path,
) -> None:
    train = Poisoned(crops(), range(8, 10))  # the fifth batch
    weights = run(make_module("autoencoder"), train, checkpoint_every_steps=1)
    counts = [
        values["optimization/skipped_steps"]
        for _, values in recorder.metrics
        if "optimization/skipped_steps" in values
    ]
    assert counts == [0, 0, 0, 0, 0, 1]
    assert all(tensor.isfinite().all() for tensor in weights.values())
    sixth, fifth, fourth = (
        torch.load(path, weights_only=True)["state_dict"] for path in checkpoints(tmp_path / "scratch")
    )
    assert different(fourth, fifth) == []
    assert different(fifth, sixth)


def test_a_diverged_training_is_one_line_and_keeps_the_last_good_state(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError) as caught:
        run(make_module("autoencoder"), Poisoned(crops(), range(6, 99)), log_every_steps=50)
    assert str(caught.value) == (
        "autoencoder: the loss or its gradient was not finite in 2 steps in a row, until step 5: the "
        "training diverged; lower its learning rate (lr), or set gradient_clip"
    )
    for path in checkpoints(tmp_path / "scratch"):
        state = torch.load(path, weights_only=True)
        assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())
    assert run(make_module("autoencoder"), crops())  # goes on once the sample is mended
