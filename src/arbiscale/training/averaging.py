"""Exponential moving average of the learning weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from arbiscale.training.module import TrainingModule
from arbiscale.training.step_callback import StepCallback


class WeightAveraging(StepCallback):
    """Averages the weights after every step; the decay warms up as (1 + n) / (10 + n).

    Lightning's callback of this name would copy the whole module, the frozen networks of the loss included,
    and puts averages in place only around Lightning's own validation loop. Here torch averages the networks
    that learn.
    """

    def __init__(self, module: TrainingModule, decay: float) -> None:
        self._decay = decay
        self._live = nn.ModuleList(network for network, _ in module.learning().values())
        self._average = AveragedModel(self._live, multi_avg_fn=self._move)
        self._average.n_averaged.fill_(1)  # the initial weights count: torch's first update would drop them

    def _move(self, averages: Any, weights: Any, _: Any) -> None:
        updates = int(self._average.n_averaged)
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the weights to their device; the counter stays on the CPU, where reading it is free."""
        self._average.module.to(pl_module.device)

    def on_step_end(self, *_: Any) -> None:
        """Move the averages towards the weights."""
        self._average.update_parameters(self._live)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averages in place of the weights for a while."""
        kept = [weight.detach().clone() for weight in self._live.parameters()]
        self.finish()
        try:
            yield
        finally:
            _copy(kept, self._live.parameters())

    def finish(self) -> None:
        """Make the averages the weights, for good."""
        _copy(self._average.parameters(), self._live.parameters())

    @torch.no_grad()
    def distance(self) -> float:
        """How far the averages are from the weights, as a share of the weights' norm."""
        pairs = zip(self._live.parameters(), self._average.parameters(), strict=True)
        learning = [(weight, average) for weight, average in pairs if weight.requires_grad]
        away = torch.nn.utils.get_total_norm([weight - average for weight, average in learning])
        return float(away / torch.nn.utils.get_total_norm([weight for weight, _ in learning]))

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return self._average.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self._average.load_state_dict(state_dict)


@torch.no_grad()
def _copy(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
