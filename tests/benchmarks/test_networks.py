"""The benchmarks of whole networks run, on the smallest preset; their timing runs by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from arbiscale.config.params import Params
from arbiscale.config.preset import find_preset, preview_preset
from arbiscale.training.diffusion import DiffusionTraining
from benchmarks import diffusion, training, upscale

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory's process would take seconds to start; what it would call is called here."""

    def peak_mib(prepare: Callable[[], Callable[[], object]], _: torch.device) -> float:
        prepare()()
        return 1.0

    for module in (training, upscale):
        monkeypatch.setattr(module, "peak_mib", peak_mib)


@pytest.fixture
def params() -> Params:
    return preview_preset(ROOT / "params.yaml", find_preset("smoke"))


def test_a_step_of_every_stage_is_measured(params: Params) -> None:
    figures = list(training.training_steps(params, CPU, runs=1))
    assert [figure.benchmark for figure in figures[::2]] == [f"training step, {s}" for s in training.STAGES]
    assert all(figure.value > 0 for figure in figures)


def test_diffusion_is_held_against_the_published_step(params: Params) -> None:
    figures = list(diffusion.diffusion_steps(params, "smoke", CPU, runs=1))
    assert [figure.name for figure in figures][-1] == "speedup of the last"
    assert all(figure.value > 0 for figure in figures)


def test_the_published_step_is_transcribed_rightly(params: Params) -> None:
    published = diffusion.PublishedStep(params, CPU)
    module = DiffusionTraining(params.diffusion.training, 1e-3, published.model)
    losses = []
    for loss in (published.loss, lambda: module.losses(published.images)["loss"]):
        torch.manual_seed(0)
        losses.append(loss())
    torch.testing.assert_close(losses[0], losses[1])


def test_upscaling_is_measured_with_random_weights(params: Params) -> None:
    seconds, memory = upscale.upscaling_at_random(params, "smoke", 8, CPU, runs=1)
    assert seconds.benchmark == memory.benchmark == "upscale 8 px x4, networks of smoke"
    assert seconds.value > 0
