"""Writing a training's state: at intervals, where validation was best, and when the training is stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.training.callbacks import Validations
from arbiscale.training.checkpoint_files import BEST, checkpoint_file, checkpoints
from arbiscale.training.step_callback import StepCallback, is_due

KEPT = 3


class Checkpoints(StepCallback, Checkpoint):
    """Keeps the last three states and the best; a state that cannot be written is a warning.

    A signal that stops the process is held back until the step is done and its state is written; a second
    one takes effect at once. After an exception, too, the state is written, unless weights were changing or
    other processes would have to take part.
    """

    def __init__(self, folder: Path, every_steps: int, validations: Validations) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self.validations = validations
        self._consistent = False
        self._signals = HeldBackSignals()

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """From here on there is a state to write."""
        super().on_train_start(trainer)
        self._consistent = True
        self._signals.hold_back()

    def on_before_optimizer_step(self, *_: Any) -> None:
        """The weights are about to change."""
        self._consistent = False

    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """Write the state where it is due; then let a signal through that came meanwhile, to any process."""
        self._consistent = True
        best = self.validations.best_step == trainer.global_step
        signum = self._signals.pending or 0
        if trainer.world_size > 1:
            numbers = torch.tensor(signum, device=pl_module.device)
            signum = int(trainer.strategy.reduce(numbers, reduce_op="max"))
        if best or signum or is_due(trainer, self.every_steps):
            self._write(trainer, best)
        if signum:
            self._signals.let_through(signum)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Write the state of the last whole step; not where the training itself found it to be bad."""
        self._signals.hold_back_no_more()
        there = checkpoint_file(self.folder, trainer.global_step).exists()
        alone = trainer.world_size == 1
        if self._consistent and alone and not there and not isinstance(exception, UserError):
            self._write(trainer)

    def on_train_end(self, *_: Any) -> None:
        """Signals take effect again."""
        self._signals.let_through()

    def _write(self, trainer: Trainer, best: bool = False) -> None:
        """In all processes; the first one writes."""
        path = checkpoint_file(self.folder, trainer.global_step)
        trainer.save_checkpoint(path)
        if trainer.is_global_zero and path.exists():
            if best:
                self._link_as_best(path, trainer.global_step)
            for old in checkpoints(self.folder)[KEPT:]:
                old.unlink(missing_ok=True)

    def _link_as_best(self, path: Path, step: int) -> None:
        best = checkpoint_file(self.folder, step, BEST)
        with suppress(OSError):  # a file system without links keeps the last three only
            best.unlink(missing_ok=True)
            os.link(path, best)
            for worse in checkpoints(self.folder, BEST):
                if worse != best:
                    worse.unlink()


class WholeCheckpoints(TorchCheckpointIO):
    """Replaces checkpoints atomically, and only by finite ones."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; where that is impossible, warn: other processes wait for this one."""
        try:
            self.write(checkpoint, Path(path))
        except UserError as error:
            print(f"WARNING: {path}: not written, training goes on ({error})", file=sys.stderr, flush=True)

    def write(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Write a checkpoint; a reader sees the former one or the whole new one.

        Raises:
            UserError: a tensor in it holds NaN or infinity, or the place cannot be written.
        """
        for name, tensor in _tensors(checkpoint):
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise UserError(f"{name} is not finite")
        with atomic_file(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # of torch's writer, which knows no other
                raise UserError(f"{str(error).partition('. ')[0]}; is the disk full?") from None


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict | list | tuple):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(each, f"{name}.{key}".lstrip("."))


class HeldBackSignals:
    """SIGINT and SIGTERM, noted instead of acted on; the second of them acts at once."""

    pending: int | None = None

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._owner = os.getpid()

    def hold_back(self) -> None:
        """From now on; in the main thread."""
        self._handlers = {
            signum: signal.signal(signum, self._note) for signum in (signal.SIGINT, signal.SIGTERM)
        }

    def hold_back_no_more(self) -> None:
        """Put the former handlers in place again; what came meanwhile is forgotten."""
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers = {}

    def let_through(self, signum: int | None = None) -> None:
        """Put the former handlers in place again, and let them act on this signal, or what came meanwhile."""
        self.hold_back_no_more()
        signum, self.pending = signum or self.pending, None
        if signum:
            signal.raise_signal(signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.pending is None and os.getpid() == self._owner:
            self.pending = signum
            return
        self.hold_back_no_more()  # the second one, or a loader's worker forked with this handler
        signal.raise_signal(signum)
