"""Fitting a training module: counted in optimizer steps, resumable to the bit."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]  # it names no exports
    LightningEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import Dataset

from arbiscale.config.runtime import RuntimeSettings
from arbiscale.data.dataset import training_batches
from arbiscale.errors import UserError
from arbiscale.imaging.draws import Share, shares
from arbiscale.models.device import choose_device, use_threads, worker_count
from arbiscale.networks.flow import invertible
from arbiscale.training.averaging import WeightAveraging
from arbiscale.training.callbacks import Curves, StepProgress, StepSeeds, Validations
from arbiscale.training.checkpoint_files import newest_whole, step_of
from arbiscale.training.checkpoints import Checkpoints, WholeCheckpoints
from arbiscale.training.module import Recorder, TrainingModule
from arbiscale.training.processes import process_count, process_rank, started_by_torchrun
from arbiscale.training.stall import StallWarning

LightningPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
_PRECISIONS: dict[str, LightningPrecision] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}


def fit(
    module: TrainingModule,
    train: Dataset[torch.Tensor],
    validation: Iterable[torch.Tensor],
    *,
    runtime: RuntimeSettings,
    seed: int,
    scratch: Path,
    recorder: Recorder,
) -> None:
    """Train a module to its last step and leave the averaged weights in it.

    Args:
        module: the training.
        train: a stream of crops (3, height, width) in [-1, 1]; sample i is a function of i alone.
        validation: held-out crops, in batches (batch, 3, height, width).
        runtime: device, workers, intervals.
        seed: of everything random in a step.
        scratch: folder of the checkpoint; training resumes from one found there.
        recorder: gets curves and pictures, and a tag for each term of the loss that is left out.

    Raises:
        UserError: the training diverged.
    """
    _quiet()
    use_threads(runtime.threads)
    recorder.set_tags(dict.fromkeys(module.left_out, "missing"))
    with invertible(module):
        _train(module, train, validation, runtime, seed, scratch, recorder)
    if process_rank(runtime):
        sys.exit(0)  # the first process goes on alone
    module.to("cpu").eval()


def _train(
    module: TrainingModule,
    train: Dataset[torch.Tensor],
    validation: Iterable[torch.Tensor],
    runtime: RuntimeSettings,
    seed: int,
    scratch: Path,
    recorder: Recorder,
) -> None:
    """All steps that are left, then the averages as weights; see `fit`."""
    settings = module.training_settings
    device = choose_device(runtime.device)
    choose_kernels(runtime.deterministic, device)
    if device.type == "cuda":
        module.to(memory_format=torch.channels_last)
    rank, together = process_rank(runtime), process_count(runtime) > 1
    if together and device.index is not None:
        raise UserError(f"runtime.device: {runtime.device} is one, runtime.devices asks for more; use cuda")
    one = [device.index or 0] if device.type == "cuda" else 1
    devices = runtime.devices if together else one
    module.shares = _shares(settings.batch_size, runtime, rank)
    averaging = WeightAveraging(module, settings.ema_decay)
    checkpoint = newest_whole(scratch)
    first_step = step_of(checkpoint) if checkpoint else 0
    if checkpoint and rank == 0:
        print(f"{module.name}: resuming at step {first_step} of {settings.steps}", flush=True)
    validations = Validations(validation, averaging, recorder, runtime.validate_every_steps, seed)
    callbacks: list[Callback] = [
        StepSeeds(seed),
        averaging,
        validations,
        Curves(recorder, averaging, runtime.log_every_steps),
        Checkpoints(scratch, runtime.checkpoint_every_steps, validations),
    ]
    if rank == 0:
        callbacks.append(StallWarning(module.name, runtime.stall_minutes, runtime.webhook))
        callbacks.append(StepProgress(module.name, settings.batch_size, recorder, runtime.log_every_steps))
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=devices,
        num_nodes=runtime.num_nodes,
        # What has no part in a step's loss, such as the encoder where latents are dropped, gets no gradient.
        strategy=DDPStrategy(find_unused_parameters=True) if together else "auto",
        use_distributed_sampler=False,
        accumulate_grad_batches=runtime.accumulate,
        precision=choose_precision(settings.precision, device),
        max_steps=settings.steps,
        max_epochs=-1,
        gradient_clip_val=settings.gradient_clip or None,
        logger=False,
        callbacks=callbacks,
        # Under SLURM Lightning would write and restore states of its own, which know no data stream.
        plugins=[
            WholeCheckpoints(),
            TorchElasticEnvironment() if started_by_torchrun() else LightningEnvironment(),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(scratch),
    )
    module.train()
    if checkpoint is None or first_step < settings.steps:
        batches = map(module.batch_of, itertools.count(first_step))
        trainer.fit(
            module,
            training_batches(
                train,
                settings.batch_size,
                batches,
                worker_count(runtime.workers, device, runtime.devices),
                module.shares,
                pinned=device.type == "cuda",
            ),
            ckpt_path=str(checkpoint) if checkpoint else None,
            weights_only=True,
        )
    else:
        averaging.load_state_dict(_read(checkpoint)["callbacks"][averaging.state_key])
    averaging.finish()


def choose_kernels(deterministic: Literal["auto", "always", "never"], device: torch.device) -> None:
    """Kernels that give the same bits again; without them CUDA also measures which convolution is fastest."""
    wanted = deterministic == "always" or (deterministic == "auto" and device.type == "cpu")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.backends.cudnn.benchmark = not wanted
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at CUDA's first product


def _shares(batch_size: int, runtime: RuntimeSettings, rank: int) -> list[Share]:
    """What this process computes of every batch.

    Raises:
        UserError: the batch cannot be divided evenly.
    """
    try:
        return shares(batch_size, process_count(runtime), rank, runtime.accumulate)
    except ValueError as error:
        raise UserError(f"batch_size: {error}; change it, or runtime.devices or runtime.accumulate") from None


def choose_precision(wanted: str, device: torch.device) -> LightningPrecision:
    """Lightning's name of a precision; `auto` is mixed precision where the device has it.

    Raises:
        UserError: float16 on a device without it.
    """
    if wanted == "float16" and device.type != "cuda":
        raise UserError(
            f"precision: float16 needs CUDA, not runtime.device: {device.type}; take auto or bfloat16"
        )
    if wanted != "auto":
        return _PRECISIONS[wanted]
    if device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _read(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint, read from disk only as far as it is used."""
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return state


def _quiet() -> None:
    """Silence Lightning's banners and its advice that does not apply here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
