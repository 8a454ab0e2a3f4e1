"""What every training has in common: optimizer, validation, seeds, and where it reports to."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from arbiscale.config.training import TrainingSettings
from arbiscale.data.degradation import Degradation, Sample
from arbiscale.errors import StateMismatchError, UserError
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.draws import Share, holding
from arbiscale.imaging.resize import shrink_to
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

    @property
    def figure(self) -> float | None:
        """What validations are compared by, the higher the better: PSNR, else the loss, negated."""
        if "psnr" in self.metrics:
            return self.metrics["psnr"]
        return -self.metrics["loss"] if "loss" in self.metrics else None


class TrainingModule(LightningModule):
    """A training: which networks learn at which rate, the loss of a batch, and a validation."""

    def __init__(self, name: str, settings: TrainingSettings) -> None:
        super().__init__()
        self.name = name
        self.training_settings = settings
        self.skipped_steps = 0  # of this process
        self._skipped_in_a_row = 0
        self.strict_loading = False  # frozen networks are no part of the state
        self.shares: list[Share] = []  # of a batch, that this process computes; none = the whole
        self.degradation: Degradation | None = None  # of low-resolution images beside being small
        self.samples: Sequence[Sample] = ()  # what the images are of which something is made
        self._terms: dict[str, Tensor] = {}
        self.step_values: dict[str, Tensor | float] = {}  # of the last step, for the curves

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

    def shrink(self, fine: Tensor, size: Size) -> Tensor:
        """The low-resolution images (batch, 3, *size) that a training learns from, in [-1, 1]."""
        return (
            shrink_to(fine, size) if self.degradation is None else self.degradation(fine, size, self.samples)
        )

    @abstractmethod
    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Scalar losses of crops (batch, 3, height, width) in [-1, 1]; `loss` is the one to minimise."""

    @abstractmethod
    def validate(self, images: Tensor) -> Validation:
        """Measure on held-out crops; called with averaged weights and fixed seeds, without gradients."""

    def _state(self) -> dict[str, Tensor]:
        """What steps change: the networks that learn, and the training's own buffers."""
        networks = [network for network, _ in self.learning().values()]
        changing = {id(each) for network in networks for each in network.state_dict(keep_vars=True).values()}
        state = self.state_dict(keep_vars=True)
        return {
            name: each.detach() for name, each in state.items() if id(each) in changing or "." not in name
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen networks of losses and latents out: where they come from identifies them."""
        checkpoint["state_dict"] = self._state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare a checkpoint with the networks before Lightning loads it.

        Raises:
            StateMismatchError: its tensors have other names or shapes.
        """
        own, other = (
            {name: tuple(tensor.shape) for name, tensor in state.items()}
            for state in (self._state(), checkpoint["state_dict"])
        )
        differing = sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
        if differing:
            name = differing[0]
            raise StateMismatchError(f"{name}: {other.get(name, 'missing')}, wanted {own.get(name, 'none')}")
        # Lightning counts the parts of batches, which may be others now; states are of whole steps.
        parts = checkpoint["global_step"] * max(1, len(self.shares))
        progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
        for counts in (progress.get("total", {}), progress.get("current", {})):
            counts.update(dict.fromkeys(counts, parts))

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """The loss of a batch, every term logged."""
        part = batch_index % len(self.shares) if self.shares else 0
        share = self.shares[part] if self.shares else Share(0, len(batch), len(batch))
        first = self.batch_of(self.global_step) * share.total + share.first
        self.samples = range(first, first + share.count)
        with holding(share):
            losses = self.losses(batch)
        before = self._terms if part else {}
        weight = 1 / max(1, len(self.shares))
        self._terms = {name: before.get(name, 0) + weight * each.detach() for name, each in losses.items()}
        return losses["loss"]

    def recorded(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the curves get of a step, of the losses' means over the whole batch."""
        return terms

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the losses for the curves, and measure the gradient.

        Where it or the loss is not finite, drop it: the step then changes nothing.

        Raises:
            UserError: more steps in a row than `skipped_steps_limit` were skipped.
        """
        values = torch.stack([*self._terms.values()])
        if self.trainer.world_size > 1:
            values = self.trainer.strategy.reduce(values, reduce_op="mean")
        terms = dict(zip(self._terms, values.unbind(), strict=True))
        gradients = [each.grad for each in parameters_of(optimizer) if each.grad is not None]
        self._norm = torch.nn.utils.get_total_norm(gradients)
        self.step_values = {
            **{f"train/{name}": value for name, value in self.recorded(terms).items()},
            "optimization/gradient_norm": self._norm,
            "optimization/skipped_steps": self.skipped_steps,
        }
        if bool(torch.isfinite(self._norm + terms["loss"])):
            self._skipped_in_a_row = 0
            return
        optimizer.zero_grad()
        self.skipped_steps += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row > self.training_settings.skipped_steps_limit:
            raise UserError(
                f"{self.name}: the loss or its gradient was not finite in {self._skipped_in_a_row} steps in "
                f"a row, until step {self.global_step + 1}: the training diverged; lower its learning rate "
                "(lr), or set gradient_clip"
            )

    def configure_gradient_clipping(  # type: ignore[override]
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None, **_: Any
    ) -> None:
        """Clip by the norm that was measured."""
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(parameters_of(optimizer), gradient_clip_val, self._norm)

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


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All that an optimizer moves."""
    return [each for group in optimizer.param_groups for each in group["params"]]


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
