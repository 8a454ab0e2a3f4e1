"""Crops as an endless stream of samples that depend on (seed, index) only."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from arbiscale.config.data import AugmentationSettings, scaled_size
from arbiscale.config.sizes import Size
from arbiscale.data.augmentation import Augmentation
from arbiscale.data.buckets import Buckets
from arbiscale.data.manifest import Manifest, Split, read_manifest
from arbiscale.data.shards import StoredCrops
from arbiscale.data.workers import worker_context
from arbiscale.errors import UserError
from arbiscale.imaging.draws import Share
from arbiscale.imaging.pixels import to_tensor


class CropDataset(Dataset[Tensor]):
    """The crops of one split and size; sample `index` is the same in every process, order and resumed run.

    Every index from 0 on is valid: each block of `len(dataset)` indices is a pass over all crops in an
    order of its own. A loop over the data set itself would never end.

    Args:
        folder: what `arbiscale.data.crops.make_crops` wrote.
        split: `train` or `validation`.
        augmentation: how samples are changed; None = not at all.
        seed: of the order and the changes.
        crop_px: without augmentation, the side of the centre that is cut out of a square crop, and the same
            part of another; None = the whole crop.
        size: (height, width) of the crops; None = that of most.
        manifest: the folder's; None = it is read.

    Attributes:
        size: (height, width) of a sample.

    Raises:
        UserError: the folder or the split has no crops, or they are too small for what is asked.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        augmentation: AugmentationSettings | None,
        seed: int,
        *,
        crop_px: int | None = None,
        size: Size | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        manifest = manifest or read_manifest(folder)
        counts = manifest.sizes(split)
        if not counts:
            raise UserError(f"{folder}: holds no crops for {split}; run `dvc repro crop`")
        stored = size or max(counts, key=counts.__getitem__)
        self._crops = StoredCrops(folder, manifest, split, stored)
        self._seed = seed
        wanted = augmentation.crop_px if augmentation else crop_px or manifest.crop_px
        needed = wanted * (augmentation.zoom_out if augmentation else 1)
        if needed > manifest.crop_px:
            raise UserError(
                f"{folder}: crops of {manifest.crop_px} px are too small for samples cut from {needed:g} px; "
                "raise data.crop.size_px"
            )
        self.size = scaled_size(stored, wanted, manifest.crop_px)
        self._augmentation = Augmentation(augmentation, stored, self.size, seed) if augmentation else None

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, index: int) -> Tensor:
        """Sample `index` of the stream: float32 (3, height, width) in [-1, 1]."""
        if index < 0:
            raise IndexError(f"sample {index}: the stream begins at 0")
        epoch, position = divmod(index, len(self))
        crop = self._crops[int(pass_order(len(self), self._seed, epoch)[position])]
        if self._augmentation:
            return to_tensor(self._augmentation(crop, index))[0]
        (height, width), (rows, columns) = crop.shape[:2], self.size
        top, left = (height - rows) // 2, (width - columns) // 2
        return to_tensor(crop[top : top + rows, left : left + columns])[0]


@lru_cache(maxsize=4)  # loader workers reach into the next pass while others finish this one
def pass_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of so many samples in one pass over them."""
    return np.random.default_rng((seed, epoch)).permutation(count)


VALIDATION_BATCH = 12  # fixed, so that curves compare


def training_streams(
    crops: Path, augmentation: AugmentationSettings, seed: int, batch_size: int
) -> tuple[Buckets[CropDataset], DataLoader[Tensor]]:
    """The stream of augmented training crops, and all validation crops; every batch of one size.

    Args:
        crops: the folder of crops.
        augmentation: of training crops; validation crops are the middle of what is stored.
        seed: of the order and the changes.
        batch_size: of the training.

    Raises:
        UserError: a split has no crops, or they are smaller than what training cuts from them.
    """
    manifest = read_manifest(crops)  # once: it may be long
    streams = [
        CropDataset(crops, "train", augmentation, seed, size=size, manifest=manifest)
        for size in _sizes(manifest, "train")
    ]
    held_out = [
        CropDataset(
            crops, "validation", None, seed, crop_px=augmentation.crop_px, size=size, manifest=manifest
        )
        for size in _sizes(manifest, "validation")
    ]
    numbers = _batches([len(each) for each in held_out])
    validation: DataLoader[Tensor] = DataLoader(ConcatDataset(held_out), batch_sampler=[*numbers])
    return Buckets(streams, [len(each) for each in streams], batch_size, seed), validation


def _sizes(manifest: Manifest, split: Split) -> list[Size | None]:
    """Of a split's crops; where there is none, one that nothing has."""
    return [*manifest.sizes(split)] or [None]


def _batches(counts: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of all validation crops, in batches that do not reach from one size into the next."""
    ends = itertools.accumulate(counts)
    for end, count in zip(ends, counts, strict=True):
        for start in range(end - count, end, VALIDATION_BATCH):
            yield [*range(start, min(start + VALIDATION_BATCH, end))]


def training_batches(
    dataset: Dataset[Tensor],
    batch_size: int,
    batches: Iterable[int],
    workers: int,
    shares: Sequence[Share] = (),
    *,
    pinned: bool = False,
) -> DataLoader[Tensor]:
    """The batches of these numbers, each of consecutive samples, the same for any number of workers.

    Where a process computes but some of each batch, its shares come one after the other. `pinned` memory
    is faster to copy to a CUDA device.
    """
    parts = shares or [Share(0, batch_size, batch_size)]
    starts = ((batch * batch_size + part.first, part.count) for batch in batches for part in parts)
    return DataLoader(
        dataset,
        batch_sampler=(list(range(start, start + count)) for start, count in starts),
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=worker_context(workers),
        pin_memory=pinned,
    )
