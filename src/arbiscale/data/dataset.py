"""Crops as an endless stream of samples that depend on (seed, index) only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from arbiscale.config.data import AugmentationSettings
from arbiscale.data.augmentation import Augmentation
from arbiscale.data.manifest import read_manifest
from arbiscale.data.shards import StoredCrops
from arbiscale.data.workers import worker_context
from arbiscale.errors import UserError
from arbiscale.imaging.draws import Share
from arbiscale.imaging.pixels import to_tensor


class CropDataset(Dataset[Tensor]):
    """The crops of one split; sample `index` is the same in every process, order and resumed run.

    Every index from 0 on is valid: each block of `len(dataset)` indices is a pass over all crops in an
    order of its own. A loop over the data set itself would never end.

    Args:
        folder: what `arbiscale.data.crops.make_crops` wrote.
        split: `train` or `validation`.
        augmentation: how samples are changed; None = not at all.
        seed: of the order and the changes.
        crop_px: without augmentation, the side of the centre that is cut out; None = the whole crop.

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
    ) -> None:
        manifest = read_manifest(folder)
        self._crops = StoredCrops(folder, manifest, split)
        if not self._crops:
            raise UserError(f"{folder}: holds no crops for {split}; run `dvc repro crop`")
        self._seed = seed
        self._stored_px = manifest.crop_px
        self._crop_px = crop_px or manifest.crop_px
        needed = augmentation.crop_px * augmentation.zoom_out if augmentation else float(self._crop_px)
        if needed > self._stored_px:
            raise UserError(
                f"{folder}: crops of {self._stored_px} px are too small for samples cut from {needed:g} px; "
                "raise data.crop.size_px"
            )
        self._augmentation = Augmentation(augmentation, self._stored_px, seed) if augmentation else None

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, index: int) -> Tensor:
        """Sample `index` of the stream: float32 (3, crop_px, crop_px) in [-1, 1]."""
        if index < 0:
            raise IndexError(f"sample {index}: the stream begins at 0")
        epoch, position = divmod(index, len(self))
        crop = self._crops[int(pass_order(len(self), self._seed, epoch)[position])]
        if self._augmentation:
            return to_tensor(self._augmentation(crop, index))[0]
        start = (self._stored_px - self._crop_px) // 2
        centre = slice(start, start + self._crop_px)
        return to_tensor(crop[centre, centre])[0]


@lru_cache(maxsize=4)  # loader workers reach into the next pass while others finish this one
def pass_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of so many samples in one pass over them."""
    return np.random.default_rng((seed, epoch)).permutation(count)


VALIDATION_BATCH = 12  # fixed, so that curves compare


def training_streams(
    crops: Path, augmentation: AugmentationSettings, seed: int
) -> tuple[CropDataset, DataLoader[Tensor]]:
    """The stream of augmented training crops, and all validation crops (batch, 3, crop_px, crop_px).

    Raises:
        UserError: a split has no crops, or they are smaller than what training cuts from them.
    """
    held_out = CropDataset(crops, "validation", None, seed, crop_px=augmentation.crop_px)
    validation = DataLoader(held_out, VALIDATION_BATCH)
    return CropDataset(crops, "train", augmentation, seed), validation


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
