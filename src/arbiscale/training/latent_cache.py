"""Crops encoded once: what the steps of diffusion learn from, without the encoder in every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from arbiscale.data.dataset import pass_order, training_batches
from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.progress import LongTask

_BATCHES = 64  # of a shard


class EncodedStream(Dataset[Tensor]):
    """The first samples of a stream, encoded; then the same samples again, in an order of each pass's own.

    Every augmentation is made before the encoder sees the sample, as no encoder commutes with any of them.

    Args:
        folder: of the shards that `encode_stream` wrote.
        count: of samples, as given to it.
        batch_size: as given to it.
        seed: of the order.
    """

    def __init__(self, folder: Path, count: int, batch_size: int, seed: int) -> None:
        self._folder, self._count, self._seed = folder, count, seed
        self._per_shard = _BATCHES * batch_size

    def __getitem__(self, index: int) -> Tensor:
        """Sample `index` of the stream: float32 (channels, height, width).

        Raises:
            UserError: its shard cannot be read.
        """
        repetition, position = divmod(index, self._count)
        if repetition:
            position = int(pass_order(self._count, self._seed, repetition)[position])
        shard, place = divmod(position, self._per_shard)
        path = _shard(self._folder, shard)
        try:
            encoded = np.load(path, mmap_mode="r")[place].copy()
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); remove {self._folder} and start again"
            ) from None
        return torch.from_numpy(encoded)


def encode_stream(
    encode: Callable[[Tensor, range], Tensor],
    stream: Dataset[Tensor],
    count: int,
    batch_size: int,
    folder: Path,
    workers: int = 0,
) -> None:
    """Encode the first samples of a stream into shards; those that an earlier process wrote are kept.

    Args:
        encode: from crops (batch, 3, height, width) and their numbers to what is kept of each.
        stream: sample i is a function of i alone.
        count: of samples.
        batch_size: of the training, so that each sample is encoded beside those that a step sees it with.
        folder: gets the shards.
        workers: data loading processes.

    Raises:
        UserError: the folder cannot be written.
    """
    per_shard = _BATCHES * batch_size
    shards = -(-count // per_shard)
    missing = [shard for shard in range(shards) if not _shard(folder, shard).exists()]
    with LongTask("encoding", count, "crops", done=(shards - len(missing)) * per_shard) as task:
        for shard in missing:
            first, end = shard * per_shard, min(count, (shard + 1) * per_shard)
            numbers = range(first // batch_size, -(-end // batch_size))
            encoded = []
            batches = training_batches(stream, batch_size, numbers, workers)
            for number, images in zip(numbers, batches, strict=True):
                samples = range(number * batch_size, (number + 1) * batch_size)
                encoded.append(encode(images, samples).float().cpu().numpy())
                task.advance(min(len(images), count - task.done))
            with atomic_file(_shard(folder, shard)) as temporary:
                np.save(temporary, np.concatenate(encoded)[: end - first])


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.npy"
