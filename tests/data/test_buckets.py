"""Streams of several sizes as one."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from arbiscale.data.buckets import Buckets
from arbiscale.data.dataset import training_batches


class Numbered(Dataset[Tensor]):
    """Samples of which each says whose it is and its number."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([self.name, index])


def buckets(counts: list[int], batch_size: int = 4, seed: int = 0) -> Buckets:
    return Buckets([Numbered(name) for name in range(len(counts))], counts, batch_size, seed)


def test_a_single_stream_is_passed_on() -> None:
    assert [int(buckets([7])[index][1]) for index in range(40)] == [*range(40)]


def test_every_batch_is_of_one_stream_and_each_stream_goes_on_where_it_was() -> None:
    found = [buckets([40, 24, 8])[index].tolist() for index in range(4 * 18 * 3)]
    batches = [found[start : start + 4] for start in range(0, len(found), 4)]
    assert all(len({name for name, _ in batch}) == 1 for batch in batches)
    for name in range(3):
        own = [number for each, number in found if each == name]
        assert own == [*range(len(own))]


def test_each_stream_has_the_batches_that_its_crops_fill() -> None:
    stream = buckets([40, 24, 8])
    assert len(stream) == 72
    orders = []
    for cycle in range(3):
        order = [int(stream[4 * batch][0]) for batch in range(18 * cycle, 18 * (cycle + 1))]
        assert Counter(order) == {0: 10, 1: 6, 2: 2}
        orders.append(order)
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != [int(buckets([40, 24, 8], seed=1)[4 * batch][0]) for batch in range(18)]


@pytest.mark.parametrize("counts", [[7], [40, 24, 8], [16, 1]])
def test_which_of_all_batches_a_streams_own_is(counts: list[int]) -> None:
    stream = buckets(counts)
    for name in range(len(counts)):
        for number in range(25):
            assert stream[4 * stream.batch_of(name, number)].tolist() == [name, 4 * number]


def test_few_crops_have_a_batch_too() -> None:
    assert Counter(int(buckets([16, 1])[4 * batch][0]) for batch in range(5)) == {0: 4, 1: 1}


def test_any_batch_is_the_same_alone() -> None:
    stream = buckets([12, 8])
    everything = [*training_batches(stream, 4, range(15), 0)]
    later = [*training_batches(stream, 4, range(9, 15), 0)]
    assert all(torch.equal(one, other) for one, other in zip(everything[9:], later, strict=True))


def test_there_is_nothing_before_the_first() -> None:
    with pytest.raises(IndexError, match="begins at 0"):
        buckets([3])[-1]
