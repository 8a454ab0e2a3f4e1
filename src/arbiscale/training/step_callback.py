"""Callbacks of optimizer steps."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pytorch_lightning import Callback, Trainer


class StepCallback(Callback):
    """A callback that acts once an optimizer step, not at every part of its batch."""

    _step = -1

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Know where the training stands."""
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any, **__: Any) -> None:
        """Act where a step is done."""
        if trainer.global_step != self._step:
            self._step = trainer.global_step
            self.on_step_end(trainer, pl_module, outputs)

    @abstractmethod
    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """An optimizer step is done."""


def is_due(trainer: Trainer, every_steps: int) -> bool:
    """Whether the step is one of every so many, or the last."""
    return trainer.global_step % every_steps == 0 or trainer.global_step == trainer.max_steps
