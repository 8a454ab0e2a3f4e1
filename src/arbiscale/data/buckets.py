"""Crops of several sizes as one stream, in which every batch is of one size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

Stream = TypeVar("Stream", bound=Dataset[Tensor])


class Buckets(Dataset[Tensor], Generic[Stream]):
    """An endless stream of batches, each from one of several streams; sample `index` is a function of it.

    In every cycle of batches each stream has as many as its crops fill, one at least, in an order of the
    cycle's own. A single stream is passed on as it is.

    Args:
        streams: whose sample i is a function of i alone, each of samples of one size.
        counts: of the crops behind each.
        batch_size: so many consecutive samples are of one stream.
        seed: of the order.
    """

    def __init__(self, streams: Sequence[Stream], counts: Sequence[int], batch_size: int, seed: int) -> None:
        self.streams = streams
        self.counts = counts
        self.batch_size = batch_size
        self.seed = seed
        self._batches = tuple(max(1, round(count / batch_size)) for count in counts)  # of a cycle

    def __len__(self) -> int:
        """How many crops there are."""
        return sum(self.counts)

    def batch_of(self, stream: int, number: int) -> int:
        """Which of all batches a stream's own batch of a number is."""
        cycle, earlier = divmod(number, self._batches[stream])
        order, _ = _cycle(self._batches, self.seed, cycle)
        return cycle * len(order) + int(np.flatnonzero(order == stream)[earlier])

    def __getitem__(self, index: int) -> Tensor:
        """Sample `index` of the stream; raises IndexError below 0."""
        if index < 0:
            raise IndexError(f"sample {index}: the stream begins at 0")
        batch, place = divmod(index, self.batch_size)
        cycle, position = divmod(batch, sum(self._batches))
        chosen, earlier = (int(each[position]) for each in _cycle(self._batches, self.seed, cycle))
        earlier += cycle * self._batches[chosen]
        return self.streams[chosen][earlier * self.batch_size + place]


@lru_cache(maxsize=4)  # loader workers reach into the next cycle while others finish this one
def _cycle(batches: tuple[int, ...], seed: int, cycle: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of each batch of a cycle its stream, and how many of that stream come before it in the cycle."""
    order = np.random.default_rng((seed, cycle)).permutation(np.repeat(np.arange(len(batches)), batches))
    earlier = np.empty_like(order)
    for stream, count in enumerate(batches):
        earlier[order == stream] = np.arange(count)
    return order, earlier
