"""The alignment losses (arXiv 2403.10255, equations 7-9), weighted per sample."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def clamped_snr_weight(snr: Tensor, clamp: float) -> Tensor:
    """The weight a / (1 - a) of each sample, shape (batch,), at most `clamp`.

    Unclamped it reaches 1e4 at the first timestep and drowns the batch.
    """
    return snr.clamp(max=clamp)


def per_sample(difference: Tensor, norm: Literal["l1", "l2"]) -> Tensor:
    """Mean absolute or squared difference of each sample, shape (batch,)."""
    size = difference.abs() if norm == "l1" else difference.square()
    return size.flatten(1).mean(1)


def weighted_mean(weights: Tensor, losses: Tensor) -> Tensor:
    """mean_i(w_i l_i) of weights and losses, both of shape (batch,).

    Raises:
        ValueError: other shapes, which would broadcast to mean(w) mean(l).
    """
    if weights.shape != losses.shape or weights.ndim != 1:
        raise ValueError(f"expected two vectors of one length, got {weights.shape} and {losses.shape}")
    return (weights * losses).mean()
