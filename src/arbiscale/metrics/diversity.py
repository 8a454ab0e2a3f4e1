"""How much outputs of one input differ from seed to seed, and whether they do where they err."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import torch
from torch import Tensor

Draw = TypeVar("Draw")


def pixel_deviation(draws: Sequence[Tensor]) -> Tensor:
    """The standard deviation of every value over draws (n - 1 in its divisor), averaged over the image.

    Args:
        draws: two or more, each of shape (batch, channels, height, width), in [0, 1].

    Returns:
        In 8-bit levels, shape (batch,); 0 where all draws are the same.
    """
    return torch.stack([*draws]).std(dim=0).mean(dim=(1, 2, 3)) * 255


def pairwise_distance(draws: Sequence[Draw], distance: Callable[[Draw, Draw], Tensor]) -> Tensor:
    """The mean distance over all pairs of draws.

    Args:
        draws: two or more, or what is compared of them.
        distance: of two draws, shape (batch,).

    Returns:
        Shape (batch,); 0 where all draws are the same.
    """
    return torch.stack([distance(*pair) for pair in combinations(draws, 2)]).mean(dim=0)


def calibration(draws: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Spearman's correlation, over pixels, of the deviation over draws with the first draw's error.

    Both are means over channels. A model that knows where it invents has a high one.

    Args:
        draws: two or more, each of shape (batch, channels, height, width), in [0, 1].
        truth: of the same shape and range.

    Returns:
        Shape (batch,), -1 to 1; NaN where nothing differs, or the error is the same everywhere.
    """
    deviation = torch.stack([*draws]).std(dim=0).mean(dim=1).flatten(1)
    error = (draws[0] - truth).abs().mean(dim=1).flatten(1)
    pairs = zip(deviation, error, strict=True)
    found = [torch.corrcoef(torch.stack([_ranks(each) for each in pair]))[0, 1] for pair in pairs]
    return torch.stack(found)


def _ranks(values: Tensor) -> Tensor:
    """The rank of each value, shape (values,); equal values share the mean of theirs."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).to(values.dtype)
    return (last - (counts - 1) / 2)[place]
