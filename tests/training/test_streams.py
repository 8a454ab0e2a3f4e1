from itertools import islice

import pytest
import torch
from torch.utils.data import Dataset

from arbiscale.training.streams import StepBatches, derive_seed, training_batches


class Numbers(Dataset[torch.Tensor]):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(index)


def test_seeds_are_the_same_everywhere_and_different_for_every_part() -> None:
    assert derive_seed(0, "diffusion", 3) == 5720310639157201435
    parts = [(seed, name, step) for seed in (0, 1) for name in ("a", "b") for step in range(100)]
    seeds = {derive_seed(*each) for each in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_batches_follow_each_other_from_any_step() -> None:
    assert list(islice(StepBatches(3, 0), 3)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert list(islice(StepBatches(3, 2), 2)) == [[6, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_does_not_depend_on_the_workers(workers: int) -> None:
    loader = training_batches(Numbers(), 2, 5, workers)
    batches = [batch.tolist() for batch in islice(loader, 4)]
    assert batches == [[10, 11], [12, 13], [14, 15], [16, 17]]
