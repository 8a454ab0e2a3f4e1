"""From errors to the numbers that a training minimises, in float32 whatever the networks compute in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")


def in_float32(loss: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Compute a loss without autocast, tensors of 16 bits converted first.

    The 8 bits of bfloat16's mantissa drown what the grid loss looks for, and turn its gradient away.
    """

    @wraps(loss)
    def computed(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Tensor:
        device = next(each.device for each in arguments if isinstance(each, Tensor))
        wide: Any = [_widened(each) for each in arguments]
        with torch.autocast(device.type, enabled=False):
            return loss(*wide, **keywords)

    return computed


def _widened(value: Any) -> Any:
    short = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if short else value


@in_float32
def per_sample(difference: Tensor, norm: Literal["l1", "l2"]) -> Tensor:
    """Mean absolute or squared difference of each sample (batch, ...), shape (batch,)."""
    size = difference.abs() if norm == "l1" else difference.square()
    return size.flatten(1).mean(1)


def clamped_snr_weight(snr: Tensor, clamp: float) -> Tensor:
    """The weight a / (1 - a) of each sample, shape (batch,), at most `clamp` (arXiv 2403.10255, equation 7).

    Unclamped it reaches 1e4 at the first timestep and outweighs the rest of the batch.
    """
    return snr.clamp(max=clamp)


@in_float32
def weighted_mean(weights: Tensor, losses: Tensor) -> Tensor:
    """mean_i(w_i l_i) of weights and losses, both of shape (batch,).

    Raises:
        ValueError: other shapes, which would broadcast to mean(w) mean(l).
    """
    if weights.shape != losses.shape or weights.ndim != 1:
        raise ValueError(f"expected two vectors of one length, got {weights.shape} and {losses.shape}")
    return (weights * losses).mean()
