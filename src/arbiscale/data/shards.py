"""Crops in few large memory-mapped files: written, and read by split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Manifest, Shard, Split
from arbiscale.errors import UserError
from arbiscale.files import sha256_of

SHARD_BYTES = 256 * 2**20
_HEADER_BYTES = 128
_OPEN = 128  # shards at a time


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


class OpenShards:
    """Memory maps of the shards used last: each holds a file open, and a process may hold about 1,000."""

    def __init__(self) -> None:
        self._maps: dict[Path, NDArray[np.uint8]] = {}
        self._lock = Lock()  # former crops are copied by several threads

    def __getitem__(self, path: Path) -> NDArray[np.uint8]:
        """A shard, uint8 (count, crop_px, crop_px, 3).

        Raises:
            OSError, ValueError, EOFError: it cannot be read.
        """
        with self._lock:
            shard = self._maps.pop(path, None)
            if shard is None:
                shard = np.load(path, mmap_mode="r")
            self._maps[path] = shard  # the last used stands last
            if len(self._maps) > _OPEN:
                del self._maps[next(iter(self._maps))]
        return shard

    def __reduce__(self) -> tuple[type[OpenShards], tuple[()]]:
        """Without the maps, whose whole content would travel to each worker."""
        return OpenShards, ()


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
        self._shards = OpenShards()

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
        number = int(np.searchsorted(self._ends, index, side="right"))
        path = self._files[number]
        try:
            shard = self._shards[path]
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path}: cannot be read ({error}); run `dvc repro -f -s crop`") from None
        from_end = index - self._ends[number]  # negative
        return np.array(shard[from_end])  # a view would keep the file open
