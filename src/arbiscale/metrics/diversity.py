"""How much outputs of one input differ from seed to seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor


def pixel_deviation(draws: Sequence[Tensor]) -> Tensor:
    """The standard deviation of every value over draws (n - 1 in its divisor), averaged over the image.

    Args:
        draws: two or more, each of shape (batch, channels, height, width), in [0, 1].

    Returns:
        In 8-bit levels, shape (batch,); 0 where all draws are the same.
    """
    return torch.stack([*draws]).std(dim=0).mean(dim=(1, 2, 3)) * 255


def pairwise_distance(draws: Sequence[Tensor], distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The mean distance over all pairs of draws.

    Args:
        draws: two or more, each of shape (batch, channels, height, width), in [0, 1].
        distance: of two draws, shape (batch,).

    Returns:
        Shape (batch,); 0 where all draws are the same.
    """
    return torch.stack([distance(*pair) for pair in combinations(draws, 2)]).mean(dim=0)
