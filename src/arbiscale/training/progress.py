"""Progress of a training: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import arbiscale.torchvision_operators  # noqa: F401  (before lightning)

from pytorch_lightning import Callback, LightningModule, Trainer  # isort: skip

_LINE_SECONDS = 15.0  # between lines where no terminal is
_LOOK_STEPS = 10  # a look at the loss waits for the accelerator


class StepProgress(Callback):
    """Shows steps done, the loss, steps a second and the time left; measures throughput."""

    def __init__(self, name: str, batch_size: int, log_every_steps: int) -> None:
        self.name = name
        self.batch_size = batch_size
        self.log_every_steps = log_every_steps
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f} · {task.fields[rate]:.2f} steps/s"),
            TimeRemainingColumn(),
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock at the first step of this process (after a resume: not at zero)."""
        self._started = self._last_line = time.monotonic()
        self._first_step = trainer.global_step
        self._loss = float("nan")
        if sys.stderr.isatty():
            self._bar.start()
        self._task = self._bar.add_task(
            self.name, total=trainer.max_steps, completed=trainer.global_step, loss=self._loss, rate=0.0
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, or print a line when the last is old."""
        step, now = trainer.global_step, time.monotonic()
        rate = (step - self._first_step) / (now - self._started)
        if step % _LOOK_STEPS == 0 or step == trainer.max_steps:
            self._loss = float(outputs["loss"])
        if trainer.logger and step % self.log_every_steps == 0:
            trainer.logger.log_metrics({"throughput/images_per_second": rate * self.batch_size}, step)
        self._bar.update(self._task, completed=step, loss=self._loss, rate=rate)
        if not self._bar.live.is_started and (
            now - self._last_line > _LINE_SECONDS or step == trainer.max_steps
        ):
            self._last_line = now
            left = (trainer.max_steps - step) / rate
            print(
                f"{self.name}  {step}/{trainer.max_steps} steps  loss {self._loss:.4f}  "
                f"{rate:.2f} steps/s  {left:.0f} s left",
                flush=True,
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the terminal back, also after a failure."""
        self._bar.stop()
