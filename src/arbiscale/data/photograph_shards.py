"""Photographs as their files, in few tar archives of WebDataset's layout; crops are cut when they are read.

Beside `00000.tar` lies its index, `00000.npy`: int64 (crops, 6), where in the archive a crop's photograph
begins, how many bytes it has, and the crop's box. So any crop is read by itself, in any order, which an
archive alone does not allow.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.sizes import Size
from arbiscale.data.examination import pixels_of
from arbiscale.data.manifest import SHARD_BYTES, Box, Shard, Split
from arbiscale.data.remote_shards import POINTER, Pointer, RemoteShard, ShardPrefix
from arbiscale.files import sha256_of
from arbiscale.imaging.formats import recognise

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WebP": "webp"}  # of the formats that are kept as they are


@dataclass(frozen=True)
class Kept:
    """A photograph's file, and the boxes of the crops that are cut from it."""

    data: bytes
    boxes: Sequence[Box]


class PhotographWriter:
    """Writes the photographs of one split whose crops are of one size.

    Begins a shard whenever the next photograph would make one too large.

    Args:
        folder: where the shards go; see `Shard.file_name`.
        split: whose photographs they are.
        size: of the crops; see `Shard.size`.
        prefix: of a store that the shards are put into; None = they stay in the folder.
        shard_bytes: a shard's largest size, of which one photograph is exempt.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        size: Size | None = None,
        prefix: ShardPrefix | None = None,
        *,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._prefix = prefix
        self._folder = folder
        self._split = split
        self._size = size
        self._shard_bytes = shard_bytes
        self._stream: BinaryIO | None = None
        self._archive: tarfile.TarFile | None = None
        self._rows: list[tuple[int, ...]] = []
        self._photographs = 0
        self._shards: list[Shard] = []

    def add(self, kept: Kept) -> list[tuple[str, int]]:
        """Take a photograph; returns for each crop its shard's file and its number in there."""
        if self._stream and self._stream.tell() + tarfile.BLOCKSIZE + len(kept.data) > self._shard_bytes:
            self._end_shard()
        if self._stream is None or self._archive is None:
            path = self._folder / self._file()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("wb")
            self._archive = tarfile.TarFile(fileobj=self._stream, mode="w", format=tarfile.USTAR_FORMAT)
        suffix = SUFFIXES[recognise(kept.data[:32]) or ""]
        member = tarfile.TarInfo(f"{self._photographs:09d}.{suffix}")
        member.size = len(kept.data)
        begin = self._stream.tell() + tarfile.BLOCKSIZE
        self._archive.addfile(member, BytesIO(kept.data))
        self._photographs += 1
        first = len(self._rows)
        self._rows += [(begin, len(kept.data), *box) for box in kept.boxes]
        return [(self._file(), number) for number in range(first, len(self._rows))]

    def finish(self) -> list[Shard]:
        """Write what is left; returns all shards."""
        self._end_shard()
        return self._shards

    def _file(self) -> str:
        return Shard.file_name(self._split, self._size, len(self._shards), PhotographShard.SUFFIX)

    def _end_shard(self) -> None:
        if self._stream is None or self._archive is None:
            return
        self._archive.close()
        self._stream.close()
        path = self._folder / self._file()
        index = path.with_suffix(PhotographShard.INDEX)
        np.save(index, np.array(self._rows, np.int64))
        count, sha256 = len(self._rows), sha256_of(path)
        shard = Shard(self._file(), self._split, count, sha256, sha256_of(index), self._size)
        if self._prefix:
            self._prefix.take(path, shard.sha256)
        self._shards.append(shard)
        self._stream, self._archive, self._rows = None, None, []


class _LocalShard:
    """The bytes of a shard that lies here."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb", buffering=0)
        self.size = os.fstat(self._stream.fileno()).st_size

    def read(self, begin: int, size: int) -> bytes:
        """A part of it."""
        return os.pread(self._stream.fileno(), size, begin)


class PhotographShard:
    """A shard, open to cut crops from it.

    Args:
        path: of the archive; where a pointer lies in its place, it is read from a store.

    Raises:
        OSError, ValueError, EOFError: it or its index cannot be read.
    """

    SUFFIX: ClassVar = ".tar"
    INDEX: ClassVar = ".npy"

    def __init__(self, path: Path) -> None:
        index = path.with_suffix(self.INDEX)
        self._rows: NDArray[np.int64] = np.load(index, mmap_mode="r")
        there = path.with_suffix(POINTER).exists()
        self._content = RemoteShard(Pointer.read(path)) if there else _LocalShard(path)
        if self._rows.ndim != 2 or self._rows.shape[1] != 6 or self._rows[-1, :2].sum() > self._content.size:
            raise ValueError("it is cut off, or its index is another's")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        """A crop, uint8 (height, width, 3).

        Raises:
            OSError, UserError: its photograph cannot be read.
        """
        kept = self.kept([number])
        left, top, right, bottom = kept.boxes[0]
        return pixels_of(kept.data)[top:bottom, left:right]

    def kept(self, numbers: Sequence[int]) -> Kept:
        """The photograph of these crops, which have one in common."""
        rows = [self._rows[number].tolist() for number in numbers]
        begin, size = rows[0][:2]
        data = self._content.read(begin, size)
        return Kept(data, [(left, top, right, bottom) for _, _, left, top, right, bottom in rows])
