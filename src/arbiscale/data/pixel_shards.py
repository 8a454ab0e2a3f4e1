"""Crops as pixels, in few large arrays that are memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.sizes import Size
from arbiscale.data.manifest import SHARD_BYTES, Shard, Split
from arbiscale.files import sha256_of

_HEADER_BYTES = 128


class PixelWriter:
    """Writes the crops of one split and size.

    Begins a shard whenever the next crop would make one too large.

    Args:
        folder: where the shards go; see `Shard.file_name`.
        split: whose crops they are.
        size: of the crops; see `Shard.size`.
        shard_bytes: a shard's largest size, of which one crop is exempt.
    """

    def __init__(
        self, folder: Path, split: Split, size: Size | None = None, *, shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._folder = folder
        self._split = split
        self._size = size
        self._shard_bytes = shard_bytes
        self._stream: BinaryIO | None = None
        self._shape: tuple[int, ...] = ()
        self._count = 0  # in the shard that is being written
        self._shards: list[Shard] = []

    def add(self, crops: Sequence[NDArray[np.uint8]]) -> list[tuple[str, int]]:
        """Take crops (height, width, 3); returns for each its shard's file and its number in there."""
        return [self._add(crop) for crop in crops]

    def finish(self) -> list[Shard]:
        """Write what is left; returns all shards."""
        self._end_shard()
        return self._shards

    def _add(self, crop: NDArray[np.uint8]) -> tuple[str, int]:
        if _HEADER_BYTES + (self._count + 1) * crop.nbytes > self._shard_bytes:
            self._end_shard()
        if self._stream is None:
            path = self._folder / self._file()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("wb")
            self._stream.seek(_HEADER_BYTES)  # which holds the count
        self._shape = crop.shape
        self._stream.write(np.ascontiguousarray(crop).data)
        self._count += 1
        return self._file(), self._count - 1

    def _file(self) -> str:
        return Shard.file_name(self._split, self._size, len(self._shards), ".npy")

    def _end_shard(self) -> None:
        if self._stream is None:
            return
        with self._stream as stream:
            stream.seek(0)
            header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
            np.lib.format.write_array_header_1_0(stream, header)
            assert stream.tell() == _HEADER_BYTES
        path = self._folder / self._file()
        self._shards.append(Shard(self._file(), self._split, self._count, sha256_of(path), size=self._size))
        self._stream, self._count = None, 0
