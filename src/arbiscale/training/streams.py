"""Randomness by position: what step s sees depends on (seed, s) alone, so resuming is exact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any parts, e.g. (seed, "diffusion", step)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


class StepBatches(Sampler[list[int]]):
    """Endless batches of consecutive stream indices, beginning at an optimizer step."""

    def __init__(self, batch_size: int, first_step: int) -> None:
        self.batch_size = batch_size
        self.first_step = first_step

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first_step
        while True:
            yield list(range(step * self.batch_size, (step + 1) * self.batch_size))
            step += 1


def training_batches(
    dataset: Dataset[torch.Tensor], batch_size: int, first_step: int, workers: int
) -> DataLoader[torch.Tensor]:
    """Batches of a stream of samples from a given step on, in the same order for any worker count."""
    return DataLoader(
        dataset,
        batch_sampler=StepBatches(batch_size, first_step),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
