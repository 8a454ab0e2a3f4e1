"""Resuming changes nothing: an interrupted training ends with the bits of one that was not."""

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.losses import image
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.pipeline.signals import stop_signals
from arbiscale.training.alignment import TimestepAlignment
from arbiscale.training.checkpoint_files import checkpoint_file, checkpoints, step_of
from arbiscale.training.module import TrainingModule

from .conftest import TRAININGS, different


@pytest.mark.parametrize("name", TRAININGS)
def test_a_resumed_training_ends_with_the_same_bits(
    name: str,
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = {key: tensor.clone() for key, tensor in make_module(name).state_dict().items()}
    uninterrupted = run(make_module(name), crops(), "uninterrupted")
    assert different(start, uninterrupted)

    torch.manual_seed(77)  # another process has other random numbers
    with pytest.raises(RuntimeError, match="the power went out"):
        run(make_module(name), crops(end=11), "interrupted")  # the last of the sixth batch
    assert step_of(checkpoints(tmp_path / "interrupted")[0]) == 4

    capsys.readouterr()
    torch.manual_seed(78)
    rest = crops()
    resumed = run(make_module(name), rest, "interrupted")
    assert "resuming at step 4 of 6" in capsys.readouterr().out
    assert min(rest.read) == 8  # the fifth batch: nothing is repeated
    assert different(uninterrupted, resumed) == []


@pytest.mark.parametrize(
    ("end", "every", "step", "batch"), [(7, 2, 2, 2), (9, 3, 3, 3), (9, 2, 4, 3), (11, 5, 5, 4)]
)
def test_linf_resumes_in_either_stage_and_between_two_steps_on_a_batch(
    end: int,
    every: int,
    step: int,
    batch: int,
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    tmp_path: Path,
) -> None:
    """Of 3 steps and 6: the steps from the fourth on are two a batch."""
    uninterrupted = run(make_module("linf"), crops(), "uninterrupted")
    curve = [(step, values) for step, values in recorder.metrics if "train/loss" in values]
    recorder.metrics.clear()
    with pytest.raises(RuntimeError, match="the power went out"):
        run(make_module("linf"), crops(end=end), "interrupted", checkpoint_every_steps=every)
    for path in checkpoints(tmp_path / "interrupted"):
        if step_of(path) > step:
            path.unlink()
    assert step_of(checkpoints(tmp_path / "interrupted")[0]) == step
    before = {step: values for step, values in recorder.metrics if "train/loss" in values}
    recorder.metrics.clear()
    torch.manual_seed(78)
    rest = crops()
    resumed = run(make_module("linf"), rest, "interrupted")
    assert min(rest.read) == 2 * batch
    assert different(uninterrupted, resumed) == []
    after = {step: values for step, values in recorder.metrics if "train/loss" in values}
    assert [*(before | after).items()] == curve


def test_a_finished_training_is_not_trained_again(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
) -> None:
    finished = run(make_module("align_timesteps"), crops())
    recorder.metrics.clear()
    stream = crops()
    again = run(make_module("align_timesteps"), stream)
    assert stream.read == []
    assert recorder.metrics == []
    assert different(finished, again) == []


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uninterrupted = run(make_module("diffusion"), crops(), "uninterrupted")
    with pytest.raises(RuntimeError, match="the power went out"):
        run(make_module("diffusion"), crops(end=11), "interrupted")
    newest = checkpoint_file(tmp_path / "interrupted", 4)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    newest.write_bytes(content)
    resumed = run(make_module("diffusion"), crops(), "interrupted")
    said = capsys.readouterr()
    assert f"{newest}: is damaged; the one before it is taken" in said.err
    assert "resuming at step 3 of 6" in said.out
    assert different(uninterrupted, resumed) == []


def test_what_no_step_changes_is_no_part_of_the_state(
    align_settings: Callable[..., AlignSettings],
    model: Callable[..., LatentDiffusion],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AlexNet may arrive or leave while a training is paused."""
    monkeypatch.setattr(image, "load_lpips", lambda *_: FrozenLoss())
    with_network = TimestepAlignment(align_settings(lpips_weight=0.1), model(), "")
    with pytest.raises(RuntimeError, match="the power went out"):
        run(with_network, crops(end=9))
    (newest, *_) = checkpoints(tmp_path / "scratch")
    names = torch.load(newest, weights_only=True)["state_dict"].keys()
    assert names
    assert all(name.startswith("model.denoiser.") for name in names)
    run(TimestepAlignment(align_settings(lpips_weight=0.0), model(), ""), crops())


class FrozenLoss(torch.nn.Module):
    """As LPIPS: a network that a loss asks and that does not learn."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1).requires_grad_(False)

    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        return self.layer(drawn - target).square().flatten(1).mean(1)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_the_state_of_the_step_that_it_came_in(
    signum: int,
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uninterrupted = run(make_module("liif"), crops(), "uninterrupted")
    module = make_module("liif")
    losses = module.losses

    def interrupted(images: Tensor) -> dict[str, Tensor]:
        if module.global_step == 2:
            signal.raise_signal(signum)
        return losses(images)

    monkeypatch.setattr(module, "losses", interrupted)
    with stop_signals() as signals, suppress(SystemExit, KeyboardInterrupt):
        run(module, crops(), "interrupted", checkpoint_every_steps=50)
    assert signals.received == signum
    assert [step_of(path) for path in checkpoints(tmp_path / "interrupted")] == [3]
    assert different(uninterrupted, run(make_module("liif"), crops(), "interrupted")) == []
