"""Fitting tiny trainings: what is learnt, what is recorded, and that resuming changes nothing."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.errors import UnavailableError, UserError
from arbiscale.losses import image
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.pipeline.signals import stop_signals
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.checkpoint_files import BEST, checkpoint_file, checkpoints, newest_whole, step_of
from arbiscale.training.fit import choose_kernels, choose_precision, fit
from arbiscale.training.module import TrainingModule, Validation

TRAININGS = [
    "autoencoder",
    "autoencoder of a Gaussian posterior",
    "diffusion",
    "align_timesteps",
    "align_samples",
    "liif",
]


@pytest.fixture
def run(
    tmp_path: Path, images: Tensor, recorder: Any, runtime: RuntimeSettings
) -> Callable[..., dict[str, Tensor]]:
    """Fits a module in a scratch folder of a name and returns its weights."""

    def run(module: TrainingModule, train: Any, name: str = "scratch", **changes: Any) -> dict[str, Tensor]:
        scratch = tmp_path / name
        scratch.mkdir(exist_ok=True)
        fit(
            module,
            train,
            [images],
            runtime=runtime.model_copy(update=changes),
            seed=0,
            scratch=scratch,
            recorder=recorder,
        )
        assert not module.training
        return {name: tensor.clone() for name, tensor in module.state_dict().items()}

    return run


def different(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


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


def test_the_best_validation_is_kept_besides_the_last_three(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = iter([9.0, 1.0, 3.0, 2.0, 2.5, 2.0, 1.0])  # the first is of the pictures before the first step
    module = make_module("liif")
    monkeypatch.setattr(module, "validate", lambda images: Validation({"psnr": next(figures)}))
    run(module, crops(), validate_every_steps=1, checkpoint_every_steps=1)
    scratch = tmp_path / "scratch"
    assert [step_of(path) for path in checkpoints(scratch)] == [6, 5, 4]
    assert [step_of(path) for path in checkpoints(scratch, BEST)] == [2]
    assert newest_whole(scratch) == checkpoint_file(scratch, 6)
    for path in checkpoints(scratch):
        path.write_bytes(b"cut off")
    assert newest_whole(scratch) == checkpoint_file(scratch, 2, BEST)


def test_a_full_disk_does_not_end_a_training(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    undisturbed = run(make_module("liif"), crops(), "undisturbed")
    save, calls = torch.save, iter(range(99))

    def full(*arguments: Any, **keywords: Any) -> None:
        if next(calls) >= 1:
            raise OSError(28, "No space left on device")
        save(*arguments, **keywords)

    monkeypatch.setattr(torch, "save", full)
    weights = run(make_module("liif"), crops(), checkpoint_every_steps=2)
    assert different(undisturbed, weights) == []
    assert len(checkpoints(tmp_path / "scratch")) == 1  # the former one stays
    assert "not written, training goes on" in capsys.readouterr().err


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
