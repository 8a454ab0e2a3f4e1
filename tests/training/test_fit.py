"""Fitting tiny trainings: what is learnt, what is recorded, and in which precision."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.errors import UnavailableError, UserError
from arbiscale.losses import image
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.checkpoint_files import checkpoint_file
from arbiscale.training.fit import choose_kernels, choose_precision
from arbiscale.training.module import TrainingModule

from .conftest import different


def test_intervals_and_workers_change_nothing(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
) -> None:
    train = torch.stack([crops()[index] for index in range(14)])  # workers get a copy
    often = run(make_module("diffusion"), crops(), "often")
    seldom = run(
        make_module("diffusion"),
        train,
        "seldom",
        log_every_steps=50,
        validate_every_steps=50,
        checkpoint_every_steps=50,
        workers=1,
    )
    assert different(often, seldom) == []


def test_curves_and_pictures_are_recorded_at_their_steps(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
) -> None:
    run(make_module("align_samples"), crops(), log_every_steps=2)
    for name in ("train/loss", "train/image", "train/latent"):
        assert len(recorder.steps_of(name)) == 3
    assert recorder.steps_of("throughput/images_per_second") == [2, 4, 6]
    assert recorder.steps_of("validation/psnr") == [3, 6]
    assert [(step, name) for step, name, _ in recorder.images] == [
        (step, "validation/samples") for step in (0, 3, 6)
    ]
    rates = {key for _, metrics in recorder.metrics for key in metrics if key.startswith("lr/")}
    assert rates == {"lr/denoiser", "lr/decoder"}
    assert not any("epoch" in metrics for _, metrics in recorder.metrics)


def test_the_averaged_weights_are_what_remains(
    autoencoder_training: Callable[..., AutoencoderTraining],
    training_settings: Callable[..., TrainingSettings],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
) -> None:
    module = autoencoder_training(training=training_settings(ema_decay=0.5).model_dump())
    weights = run(module, crops())
    checkpoint = torch.load(checkpoint_file(tmp_path / "scratch", 6), weights_only=True)
    averages = checkpoint["callbacks"]["WeightAveraging"]
    for name, _ in module.autoencoder.named_parameters():
        assert torch.equal(weights[f"autoencoder.{name}"], averages[f"module.0.{name}"])
    assert different({name: weights[name] for name in checkpoint["state_dict"]}, checkpoint["state_dict"])


def test_training_learns(
    autoencoder_training: Callable[..., AutoencoderTraining],
    training_settings: Callable[..., TrainingSettings],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    images: Tensor,
) -> None:
    training = training_settings(steps=60, ema_decay=0.5, weight_decay=0.0)
    module = autoencoder_training(training=training.model_dump(), lr=1e-2, target_px=[32, 32], decode_px=32)
    with torch.no_grad():
        before = module.eval().validate(images).metrics["psnr"]
    run(module, crops(), log_every_steps=30, validate_every_steps=60, checkpoint_every_steps=60)
    (after,) = (values["validation/psnr"] for _, values in recorder.metrics if "validation/psnr" in values)
    assert after > before + 0.3


@pytest.mark.parametrize("name", ["autoencoder", "align_timesteps", "align_samples", "linf"])
def test_a_run_is_tagged_with_the_terms_it_went_without(
    name: str,
    autoencoder_training: Callable[..., AutoencoderTraining],
    align_settings: Callable[..., AlignSettings],
    baseline_training: Callable[..., TrainingModule],
    make_module: Callable[[str], TrainingModule],
    model: Callable[..., LatentDiffusion],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unavailable(*_: object) -> torch.nn.Module:
        raise UnavailableError("alexnet: not to be had")

    monkeypatch.setattr(image, "load_lpips", unavailable)
    run(make_module(name), crops(), "without weight")
    assert recorder.tags == {}
    module: TrainingModule
    if name == "autoencoder":
        module = autoencoder_training(lpips_weight=0.1)
    elif name == "linf":
        module = baseline_training(
            "linf", fine_tuning={"perceptual_weight": 0.1}, input_px=32, scales=[1, 1], decode_px=32
        )
    else:
        kind = TimestepAlignment if name == "align_timesteps" else SampleAlignment
        module = kind(align_settings(lpips_weight=0.1), model(), "")
    run(module, crops(), "with weight")
    assert recorder.tags == {"lpips": "missing"}


def test_slurm_does_not_requeue_trainings(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With --ntasks=4 Lightning's own detection raised; with a signal it wrote states without the stream."""
    slurm = {"NTASKS": "4", "JOB_ID": "1", "JOB_NAME": "train", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    before = signal.getsignal(signal.SIGUSR1)
    run(make_module("liif"), crops())
    assert signal.getsignal(signal.SIGUSR1) == before
    assert not [*(tmp_path / "scratch").glob("hpc*")]


@pytest.mark.parametrize(
    ("wanted", "device", "deterministic"),
    [("auto", "cpu", True), ("auto", "cuda", False), ("always", "cuda", True), ("never", "cpu", False)],
)
def test_bits_cost_speed_on_cuda_and_are_a_choice_there(
    wanted: Any, device: str, deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.setenv(workspace, "")
    monkeypatch.delenv(workspace)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", deterministic)
    choose_kernels(wanted, torch.device(device))
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.backends.cudnn.benchmark != deterministic
    assert (workspace in os.environ) == deterministic


@pytest.mark.parametrize(
    ("wanted", "device", "bfloat16", "precision"),
    [
        ("auto", "cpu", True, "32-true"),
        ("auto", "mps", True, "32-true"),
        ("auto", "cuda", True, "bf16-mixed"),
        ("auto", "cuda", False, "16-mixed"),
        ("float32", "cuda", True, "32-true"),
        ("bfloat16", "cpu", False, "bf16-mixed"),
        ("float16", "cuda", True, "16-mixed"),
    ],
)
def test_precisions(
    monkeypatch: pytest.MonkeyPatch, wanted: str, device: str, bfloat16: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
    assert choose_precision(wanted, torch.device(device)) == precision


def test_float16_on_a_cpu_is_refused_with_both_keys() -> None:
    with pytest.raises(UserError, match=r"precision: float16 needs CUDA, not runtime\.device: cpu"):
        choose_precision("float16", torch.device("cpu"))


def test_the_second_stage_of_linf_begins_with_a_new_optimizer(
    baseline_training: Callable[..., TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
) -> None:
    module = baseline_training("linf")  # of 3 steps and 6
    run(module, crops())
    checkpoint = torch.load(checkpoint_file(tmp_path / "scratch", 9), weights_only=True)
    (state,) = checkpoint["optimizer_states"]
    done = checkpoint["global_step"] - 3
    assert done > 0
    assert {int(each["step"]) for each in state["state"].values()} == {done}
