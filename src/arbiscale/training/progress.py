"""Progress of a training: steps, the loss and throughput."""

from __future__ import annotations

from typing import Any

import arbiscale.torchvision_operators  # noqa: F401  (before lightning)
from arbiscale.progress import LongTask

from pytorch_lightning import Callback, LightningModule, Trainer  # isort: skip

_LOOK_STEPS = 10  # a look at the loss waits for the accelerator


class StepProgress(Callback):
    """Shows steps done, the loss, steps a second and the time left; measures throughput."""

    def __init__(self, name: str, batch_size: int, log_every_steps: int) -> None:
        self.name = name
        self.batch_size = batch_size
        self.log_every_steps = log_every_steps
        self._task: LongTask | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock at the first step of this process (after a resume: not at zero)."""
        self._loss = float("nan")
        self._task = LongTask(self.name, trainer.max_steps, "steps", done=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on."""
        assert self._task is not None
        step = trainer.global_step
        if step % _LOOK_STEPS == 0 or step == trainer.max_steps:
            self._loss = float(outputs["loss"])
        self._task.advance(step - self._task.done, f"loss {self._loss:.4f}")
        if trainer.logger and step % self.log_every_steps == 0:
            images_per_second = self._task.rate * self.batch_size
            trainer.logger.log_metrics({"throughput/images_per_second": images_per_second}, step)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the terminal back, also after a failure."""
        if self._task is not None:
            self._task.stop()
