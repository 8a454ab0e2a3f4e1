"""Crops in few large files, which DVC and memory mapping both like better than many small ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Shard, Split
from arbiscale.data.record import sha256_of

SHARD_BYTES = 256 * 2**20
_HEADER_BYTES = 128


class ShardWriter:
    """Collects the crops of one split, writing a shard whenever the next crop would make it too large.

    Args:
        folder: where the shards go, as `<split>/00000.npy` and so on.
        split: whose crops they are.
        shard_bytes: a shard's largest size, of which one crop is exempt.
    """

    def __init__(self, folder: Path, split: Split, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._split = split
        self._shard_bytes = shard_bytes
        self._crops: list[NDArray[np.uint8]] = []
        self._shards: list[Shard] = []

    def add(self, crop: NDArray[np.uint8]) -> tuple[str, int]:
        """Take a crop (crop_px, crop_px, 3); returns its shard's file and its index in there."""
        if self._crops and _HEADER_BYTES + (len(self._crops) + 1) * crop.nbytes > self._shard_bytes:
            self._flush()
        self._crops.append(crop.copy())  # not a view, which would keep its photograph in memory
        return self._file(), len(self._crops) - 1

    def finish(self) -> list[Shard]:
        """Write what is left; returns all shards."""
        if self._crops:
            self._flush()
        return self._shards

    def _file(self) -> str:
        return f"{self._split}/{len(self._shards):05d}.npy"

    def _flush(self) -> None:
        path = self._folder / self._file()
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.stack(self._crops))
        self._shards.append(Shard(self._file(), self._split, len(self._crops), sha256_of(path)))
        self._crops = []
