"""Shards below a prefix of an S3-compatible store, read from there while training.

A shard is put there under its sha256. Among the crops a pointer takes its place, which DVC tracks: so a
machine that has the pointers and the credentials trains, however small its disk is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from arbiscale.errors import UnavailableError, UserError, first_line
from arbiscale.files import sha256_of, write_json
from arbiscale.workspace import SHARDS_KEPT, repository_root

POINTER = ".json"  # suffix
_KEEP_GIB = 20.0  # of shards, on this machine
_KEEP_VARIABLE = "ARBISCALE_SHARD_CACHE_GIB"
_LEAVE_FREE_BYTES = 2**30


class MissingShardError(UserError):
    """A shard is not where its pointer says."""


@dataclass(frozen=True)
class Pointer:
    """Where a shard is."""

    url: str
    endpoint_url: str | None  # None = AWS, or what the environment says
    sha256: str
    bytes: int
    before_bytes: int  # of the shards before it; the first ones are kept on each machine

    @classmethod
    def read(cls, path: Path) -> Pointer:
        """Of the shard that would lie at a path.

        Raises:
            OSError, ValueError: there is none, or it is damaged.
        """
        try:
            return cls(**json.loads(path.with_suffix(POINTER).read_bytes()))
        except TypeError as error:
            raise ValueError(f"no pointer to a shard ({first_line(error)})") from None


class ShardPrefix:
    """A place for the shards of one folder of crops.

    Args:
        url: such as s3://bucket/prefix.
        endpoint_url: of the store; None = AWS, or what the environment says.
    """

    def __init__(self, url: str, endpoint_url: str | None) -> None:
        self.url = url.rstrip("/")
        self._endpoint_url = endpoint_url
        self._before_bytes = 0

    def take(self, path: Path, sha256: str) -> None:
        """Put a shard there, unless it is there, and leave a pointer in its place.

        Raises:
            UnavailableError: the store cannot be reached or refuses.
        """
        size = path.stat().st_size
        pointer = Pointer(
            f"{self.url}/{sha256}{path.suffix}", self._endpoint_url, sha256, size, self._before_bytes
        )
        with _named(pointer.url):
            store = _store(self._endpoint_url)
            if not store.exists(pointer.url) or store.size(pointer.url) != size:
                store.put_file(str(path), pointer.url)
        write_json(path.with_suffix(POINTER), dataclasses.asdict(pointer))
        path.unlink()
        self._before_bytes += size


class RemoteShard:
    """The bytes of a shard, of which a photograph is read at a time.

    The first `ARBISCALE_SHARD_CACHE_GIB` of all shards are fetched whole, and kept in the repository's
    `.shards`; of the others nothing is kept. A pass reads everything once in random order, so which
    part is kept makes no difference, and nothing is ever kept and dropped in turn.
    """

    def __init__(self, pointer: Pointer) -> None:
        self._pointer = pointer
        self.size = pointer.bytes
        self._limit = int(float(os.environ.get(_KEEP_VARIABLE, _KEEP_GIB)) * 2**30)
        self._kept: BinaryIO | None = None

    def read(self, begin: int, size: int) -> bytes:
        """A part of it.

        Raises:
            MissingShardError, UserError: it is gone, or another.
            UnavailableError: the store cannot be reached or refuses.
        """
        if self._kept is None and self._pointer.before_bytes + self.size <= self._limit:
            self._kept = self._keep()
        if self._kept is not None:
            return os.pread(self._kept.fileno(), size, begin)
        with _named(self._pointer.url):
            store = _store(self._pointer.endpoint_url)
            found: bytes = store.cat_file(self._pointer.url, start=begin, end=begin + size)
        return found

    def _keep(self) -> BinaryIO | None:
        """Its file on this machine, fetched where it is not here; None where the disk is full."""
        folder = repository_root() / SHARDS_KEPT
        folder.mkdir(exist_ok=True)
        path = folder / f"{self._pointer.sha256}.tar"
        with FileLock(folder / ".lock"):  # of several processes one fetches
            if not path.exists():
                self._make_room(folder)
                if shutil.disk_usage(folder).free < self.size + _LEAVE_FREE_BYTES:
                    return None
                self._fetch(path)
            os.utime(path)
            return path.open("rb", buffering=0)

    def _fetch(self, path: Path) -> None:
        part = path.with_suffix(".part")
        try:
            for _ in range(2):  # what was altered on its way is fetched again
                with _named(self._pointer.url):
                    _store(self._pointer.endpoint_url).get_file(self._pointer.url, str(part))
                if sha256_of(part) == self._pointer.sha256:
                    part.replace(path)
                    return
            raise UserError(f"{self._pointer.url}: is another shard than was cut; delete it")
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, folder: Path) -> None:
        """Shards of other data leave, those first that were opened longest ago."""
        kept = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in kept) + self.size
        for path in kept:
            if total <= self._limit:
                break
            total -= path.stat().st_size
            with suppress(OSError):
                path.unlink()


@cache
def _store(endpoint_url: str | None) -> Any:
    """The store as fsspec has it; each process has its own. Credentials are those of the standard chain."""
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=endpoint_url, use_listings_cache=False)


@contextmanager
def _named(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise
    except FileNotFoundError:
        raise MissingShardError(
            f"{url}: is not there; run `dvc repro -f -s crop`, which puts it there"
        ) from None
    except Exception as error:  # botocore's, aiohttp's and the system's
        raise UnavailableError(f"{url}: cannot be reached or refuses ({first_line(error)})") from None
