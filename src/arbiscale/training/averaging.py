"""Exponential moving average of the learning weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from arbiscale.training.module import TrainingModule


class WeightAveraging(Callback):
    """Averages the weights after every step; the decay warms up as (1 + n) / (10 + n)."""

    def __init__(self, module: TrainingModule, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._live = [
            parameter
            for network, _ in module.learning().values()
            for parameter in network.parameters()
            if parameter.requires_grad
        ]
        self._average: list[Tensor] = [parameter.detach().clone() for parameter in self._live]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the weights to their device."""
        self._average = [
            average.to(live.device) for average, live in zip(self._average, self._live, strict=True)
        ]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the averages towards the weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._average, [live.detach() for live in self._live], 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averages in place of the weights for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def finish(self) -> None:
        """Make the averages the weights, for good."""
        for live, average in zip(self._live, self._average, strict=True):
            live.copy_(average)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"updates": self.updates, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.updates = state_dict["updates"]
        for average, loaded in zip(self._average, state_dict["average"], strict=True):
            average.copy_(loaded)
