"""Random numbers of the samples of a batch, by their position in it: whoever holds a part draws its part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

Source = torch.Generator | list[torch.Generator]  # of a batch's noise, or of each sample's


@dataclass(frozen=True)
class Share:
    """The samples `first` to `first + count - 1` of a batch of `total`."""

    first: int
    count: int
    total: int


_share: ContextVar[Share | None] = ContextVar("share", default=None)


def shares(total: int, processes: int, rank: int, accumulate: int) -> list[Share]:
    """What a process computes of a batch, one after the other.

    Raises:
        ValueError: the batch cannot be divided evenly.
    """
    if total % (processes * accumulate):
        raise ValueError(f"{total} samples do not divide into {processes} x {accumulate} equal parts")
    count = total // (processes * accumulate)
    return [Share((part * processes + rank) * count, count, total) for part in range(accumulate)]


@contextmanager
def holding(share: Share) -> Iterator[None]:
    """Inside the block, what is drawn for `share.count` samples is that part of the whole batch's."""
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def normal_like(tensor: Tensor, generator: Source | None = None) -> Tensor:
    """Standard normal noise of a tensor (batch, ...), on its device.

    Args:
        tensor: its shape and type are the noise's.
        generator: None = the global random state.
    """
    if isinstance(generator, list):
        drawn = [
            torch.randn(sample.shape, generator=own, device=own.device, dtype=tensor.dtype)
            for sample, own in zip(tensor, generator, strict=True)
        ]
        return torch.stack(drawn).to(tensor.device)
    device = generator.device if generator else tensor.device
    shape = (_total(len(tensor)), *tensor.shape[1:])
    whole = torch.randn(shape, generator=generator, device=device, dtype=tensor.dtype)
    return _part(whole, len(tensor)).to(tensor.device)


def uniform(count: int, device: torch.device) -> Tensor:
    """Numbers in [0, 1), shape (count,)."""
    return _part(torch.rand(_total(count), device=device), count)


def integers(end: int, count: int, device: torch.device) -> Tensor:
    """Integers from 0 to end - 1, shape (count,)."""
    return _part(torch.randint(end, (_total(count),), device=device), count)


def _total(count: int) -> int:
    share = _share.get()
    return share.total if share and share.count == count else count


def _part(whole: Tensor, count: int) -> Tensor:
    share = _share.get()
    return whole if share is None or len(whole) == count else whole[share.first : share.first + count]
