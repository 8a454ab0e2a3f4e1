"""Crops in few large files, whichever store they are of, read by split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.sizes import Size
from arbiscale.data.manifest import Manifest, Shard, Split
from arbiscale.data.photograph_shards import PhotographShard
from arbiscale.data.remote_shards import POINTER, MissingShardError, Pointer
from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import sha256_of

_OPEN = 128  # shards at a time


class OpenShard(Protocol):
    """A shard to read crops from: an array of them, or photographs that they are cut from."""

    def __len__(self) -> int:
        """How many crops there are."""

    def __getitem__(self, number: int, /) -> Any:
        """A crop, uint8 (height, width, 3)."""


class OpenShards:
    """The shards used last: each holds a file or two open, and a process may hold about 1,000."""

    def __init__(self) -> None:
        self._shards: dict[Path, OpenShard] = {}
        self._lock = Lock()  # former crops are copied by several threads

    def __getitem__(self, path: Path) -> OpenShard:
        """A shard.

        Raises:
            OSError, ValueError, EOFError: it cannot be read.
        """
        with self._lock:
            shard = self._shards.pop(path, None)
            if shard is None:
                shard = _open(path)
            self._shards[path] = shard  # the last used stands last
            if len(self._shards) > _OPEN:
                del self._shards[next(iter(self._shards))]
        return shard

    def __reduce__(self) -> tuple[type[OpenShards], tuple[()]]:
        """Without the maps, whose whole content would travel to each worker."""
        return OpenShards, ()


def _open(path: Path) -> OpenShard:
    if path.suffix == PhotographShard.SUFFIX:
        return PhotographShard(path)
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pixels


def is_intact(folder: Path, shard: Shard) -> bool:
    """Whether a shard below a folder is what was written; of one in a bucket, its pointer and its index.

    Raises:
        OSError, ValueError: a file of it is missing, or no pointer.
    """
    path = folder / shard.file
    index = path.with_suffix(PhotographShard.INDEX)
    if shard.index_sha256 and sha256_of(index) != shard.index_sha256:
        return False
    there = path.with_suffix(POINTER).exists()
    return (Pointer.read(path).sha256 if there else sha256_of(path)) == shard.sha256


class StoredCrops(Sequence[NDArray[np.uint8]]):
    """Crops uint8 (height, width, 3) in shards; none where the split has none.

    Args:
        folder: what `arbiscale.data.crops.make_crops` wrote.
        manifest: its own.
        split: whose crops.
        size: theirs, (height, width); None = of any.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, split: Split | str, size: Size | None = None
    ) -> None:
        shards = [
            shard
            for shard in manifest.shards
            if shard.split == split and size in {None, manifest.size_of(shard)}
        ]
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
        begin = self._ends[number - 1] if number else 0
        return read_crop(self._files[number], int(index - begin), self._shards)


def read_crop(path: Path, number: int, shards: OpenShards | None = None) -> NDArray[np.uint8]:
    """A crop of a shard, uint8 (height, width, 3).

    Raises:
        UserError: the shard cannot be read.
        MissingShardError, UnavailableError: it is in a bucket, and not there, or that cannot be reached.
    """
    try:
        shard = _open(path) if shards is None else shards[path]
        return np.array(shard[number])  # a view would keep the file open
    except (MissingShardError, UnavailableError):
        raise
    except (UserError, OSError, ValueError, EOFError, IndexError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `dvc repro -f -s crop`") from None
