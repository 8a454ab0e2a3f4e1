"""The crops of a split as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Manifest, Split
from arbiscale.errors import UserError


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

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.uint8]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """A crop, or a list of them.

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
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: cannot be read ({error}); run `dvc repro --force crop`") from None
        from_end = index - self._ends[shard]  # negative
        return np.asarray(self._shards[shard][from_end])

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory maps, whose whole content would travel to each worker."""
        return self.__dict__ | {"_shards": {}}
