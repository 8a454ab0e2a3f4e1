"""One batch, however it is divided: over processes, over parts, and from one division to another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.degradation import RealisticSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.data.degradation import Degradation
from arbiscale.errors import UserError
from arbiscale.training.checkpoint_files import checkpoints
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.module import TrainingModule
from arbiscale.training.processes import process_rank

SCRIPT = """
import sys
import torch
from arbiscale.training.fit import fit

module, runtime, scratch, end = torch.load(sys.argv[1], weights_only=False)
losses, validations = [], []

class Crops:
    def __getitem__(self, index):
        if index == end:
            raise RuntimeError("the power went out")
        return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(index)) * 2 - 1

class Recorder:
    def log_metrics(self, metrics, step=None):
        losses.extend(value for name, value in metrics.items() if name == "train/loss")
        validations.extend(value for name, value in metrics.items() if name.startswith("validation/"))
    def log_image(self, name, image, step=None): ...
    def set_tags(self, tags): ...

images = [torch.stack([Crops()[10_000 + batch], Crops()[20_000 + batch]]) for batch in range(3)]
fit(module, Crops(), images, runtime=runtime, seed=0, scratch=scratch, recorder=Recorder())
torch.save((module.state_dict(), losses, validations), sys.argv[2])
"""
STEPS = 20
Result = tuple[dict[str, Tensor], list[float], list[float]]


@pytest.fixture
def train(
    training_settings: Callable[..., TrainingSettings],
    model: Callable[..., Any],
    runtime: RuntimeSettings,
    tmp_path: Path,
) -> Callable[..., Result]:
    """Trains in a process of its own; returns the weights, the losses and what validations found."""
    (tmp_path / "train.py").write_text(SCRIPT)

    def train(
        name: str,
        *,
        end: int | None = None,
        batch_size: int = 8,
        degradation: Degradation | None = None,
        **changes: Any,
    ) -> Result:
        scratch = tmp_path / name
        scratch.mkdir(exist_ok=True)
        settings = training_settings(steps=STEPS, batch_size=batch_size)
        module = DiffusionTraining(settings, 1e-3, model())
        module.degradation = degradation
        how = runtime.model_copy(update={"checkpoint_every_steps": 5, "validate_every_steps": 50} | changes)
        job, done = tmp_path / "job.pt", tmp_path / "done.pt"
        done.unlink(missing_ok=True)
        torch.save((module, how, scratch, end), job)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(tmp_path / "train.py"), str(job), str(done)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        if end is None:
            assert ended.returncode == 0, ended.stdout + ended.stderr
            result: Result = torch.load(done, weights_only=False)
            return result
        assert "the power went out" in ended.stderr
        return {}, [], []

    return train


def assert_same(result: Result, expected: Result) -> None:
    weights, losses, validations = result
    assert losses == pytest.approx(expected[1], abs=1e-5)
    assert validations == pytest.approx(expected[2], rel=1e-4)
    assert max(float((weights[name] - each).abs().max()) for name, each in expected[0].items()) < 1e-5


@pytest.mark.slow
def test_a_batch_in_parts_and_over_processes_trains_alike(
    train: Callable[..., Result], tmp_path: Path
) -> None:
    alone = train("alone")
    assert len(alone[1]) == STEPS
    assert len(alone[2]) == 6  # the loss, that of each bin of timesteps, PSNR
    assert_same(train("parts", accumulate=2), alone)
    assert_same(train("processes", devices=2), alone)
    assert [path.name for path in checkpoints(tmp_path / "processes")] == [
        f"step-{step:09d}.ckpt" for step in (20, 15, 10)
    ]


@pytest.mark.slow
def test_samples_are_degraded_alike_in_every_division(train: Callable[..., Result]) -> None:
    degraded = partial(train, degradation=Degradation(RealisticSettings(), 0))
    alone = degraded("alone")
    assert_same(degraded("parts", accumulate=2), alone)
    assert_same(degraded("processes", devices=2), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"devices": 2}),
        ({"devices": 2}, {}),
        ({"accumulate": 4}, {"accumulate": 2}),
    ],
)
def test_a_training_goes_on_in_another_division(
    train: Callable[..., Result], first: dict[str, int], then: dict[str, int]
) -> None:
    weights, losses, validations = train("alone")
    train("divided", end=8 * 11 + 7, **first)
    resumed, rest, found = train("divided", **then)
    assert_same((resumed, rest, found), (weights, losses[-len(rest) :], validations))
    assert 8 < len(rest) < 12


def test_a_batch_that_cannot_be_divided_is_one_line(
    make_module: Callable[[str], TrainingModule],
    crops: Callable[..., Any],
    images: Tensor,
    runtime: RuntimeSettings,
    recorder: Any,
    tmp_path: Path,
) -> None:
    how = runtime.model_copy(update={"accumulate": 3})
    with pytest.raises(
        UserError, match=r"batch_size: 2 samples do not divide into 1 x 3 equal parts; change it"
    ):
        fit(make_module("liif"), crops(), [images], runtime=how, seed=0, scratch=tmp_path, recorder=recorder)


def test_ranks(runtime: RuntimeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    four = runtime.model_copy(update={"devices": 4, "num_nodes": 2})
    for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert process_rank(four) == 0
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert process_rank(four) == 6
    assert process_rank(runtime) == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "7")
    assert process_rank(four) == 7
