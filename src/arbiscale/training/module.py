"""What every training has in common: optimizer, validation, seeds, and where it reports to."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from arbiscale.config.training import TrainingSettings
from arbiscale.errors import StateMismatchError
from arbiscale.losses.reduction import per_sample


class Recorder(Protocol):
    """Takes curves, pictures and tags."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values at an optimizer step."""

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3), at an optimizer step."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags of the whole training."""


@dataclass(frozen=True)
class Validation:
    """Results of a validation: values, and pictures uint8 (height, width, 3), by name."""

    metrics: dict[str, float]
    images: dict[str, np.ndarray] = field(default_factory=dict)


class TrainingModule(LightningModule):
    """A training: which networks learn at which rate, the loss of a batch, and a validation."""

    def __init__(self, name: str, settings: TrainingSettings) -> None:
        super().__init__()
        self.name = name
        self.training_settings = settings

    @abstractmethod
    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The networks that learn and their learning rates, by name."""

    @property
    def left_out(self) -> list[str]:
        """Terms of the loss that the settings ask for, and whose network is missing."""
        return []

    def batch_of(self, step: int) -> int:
        """The batch that an optimizer step learns from, by its number; several steps may share one.

        Steps that share a batch share everything random.
        """
        return step

    def rate_factor(self, step: int) -> float:
        """The share of the learning rates at an optimizer step."""
        return rate_factor(step, self.training_settings)

    @abstractmethod
    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Scalar losses of crops (batch, 3, height, width) in [-1, 1]; `loss` is the one to minimise."""

    @abstractmethod
    def validate(self, images: Tensor) -> Validation:
        """Measure on held-out crops; called with averaged weights and fixed seeds, without gradients."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare a checkpoint with the networks before Lightning loads it.

        Raises:
            StateMismatchError: its tensors have other names or shapes.
        """
        own, other = (
            {name: tuple(tensor.shape) for name, tensor in state.items()}
            for state in (self.state_dict(), checkpoint["state_dict"])
        )
        differing = sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
        if differing:
            name = differing[0]
            raise StateMismatchError(f"{name}: {other.get(name, 'missing')}, wanted {own.get(name, 'none')}")

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """The loss of a batch, every term logged."""
        losses = self.losses(batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        return losses["loss"]

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """AdamW with a learning rate a network, and the schedule over optimizer steps."""
        settings = self.training_settings
        groups = [
            {"params": [p for p in network.parameters() if p.requires_grad], "lr": rate}
            for network, rate in self.learning().values()
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(step: int, settings: TrainingSettings) -> float:
    """The share of the learning rate at an optimizer step: linear warm-up, then what the schedule says."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "halved":
        return 0.5 ** min(4, 5 * step // settings.steps)
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def mean_psnr(drawn: Tensor, target: Tensor) -> float:
    """Mean PSNR in dB of images (batch, 3, height, width) in [-1, 1]."""
    return float((10 * torch.log10(4 / per_sample(drawn - target, "l2"))).mean())


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any parts, e.g. (seed, "diffusion", step)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
