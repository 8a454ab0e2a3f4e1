"""Crops in few large memory-mapped files: written, and read by split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Manifest, Shard, Split
from arbiscale.errors import UserError
from arbiscale.files import sha256_of

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
        self._crops.append(crop)
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


class StoredCrops(Sequence[NDArray[np.uint8]]):
    """Crops uint8 (crop_px, crop_px, 3) in memory-mapped shards; none where the split has none.

    Args:
        folder: what `arbiscale.data.crops.make_crops` wrote.
        manifest: its own.
        split: whose crops.
    """

    def __init__(self, folder: Path, manifest: Manifest, split: Split | str) -> None:
        shards = [shard for shard in manifest.shards if shard.split == split]
        self._files = [folder / shard.file for shard in shards]
        self._ends = np.cumsum([shard.count for shard in shards], dtype=np.int64)
        self._shards: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Any) -> Any:
        """The crop at an index, or a list of those of a slice.

        Raises:
            UserError: its shard cannot be read.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(len(self))[index]  # raises IndexError
        shard = int(np.searchsorted(self._ends, index, side="right"))
        if shard not in self._shards:
            path = self._files[shard]
            try:
                self._shards[shard] = np.load(path, mmap_mode="r")
            except (OSError, ValueError, EOFError) as error:
                raise UserError(f"{path}: cannot be read ({error}); run `dvc repro -f -s crop`") from None
        from_end = index - self._ends[shard]  # negative
        return np.asarray(self._shards[shard][from_end])

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory maps, whose whole content would travel to each worker."""
        return self.__dict__ | {"_shards": {}}
