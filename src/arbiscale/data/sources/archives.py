"""Pictures in archives: found and read where they lie, nothing is unpacked.

So no name in an archive can lead anywhere, and links lead nowhere. How many members an archive has, and how
large one becomes, is bounded.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Protocol

from arbiscale.data.sources.picture_tables import PictureTable
from arbiscale.data.sources.source import UnreadableError, is_plain, is_text, shown
from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.progress import readable_size

MOST_MEMBERS = 20_000_000
LARGEST_MEMBER_BYTES = 2**30
MOST_EXPANSION = 100  # of a compressed tar archive; pictures hardly shrink
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
_COPIED_BYTES = 2**20
_TAR_END_BYTES = 1024  # of zeros
_Compressed = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_Opener = Callable[[Path], _Compressed]
_OPENERS: dict[str, _Opener] = {
    ".gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_TABLE = ".parquet"
ARCHIVE_SUFFIXES = (".zip", *_TARS, _TABLE)


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    name: str
    size: int  # bytes
    stamp: str  # another one = the content may be another
    problem: str = ""  # why it cannot be read


class Archive(Protocol):
    """What holds pictures in one file."""

    def members(self) -> Iterator[Member]:
        """All files in it, and links."""

    def read(self, name: str) -> bytes:
        """One of them; called from several threads.

        Raises:
            UnreadableError: it is damaged.
        """


def unpack(path: Path, name: str, target: Path) -> None:
    """Write one member of a zip archive, for what must be a file of its own.

    Raises:
        UserError: it is not there or damaged, or the disk is full.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as source:
            needed, free = archive.getinfo(name).file_size, shutil.disk_usage(path.parent).free
            if needed > free:
                raise UserError(
                    f"{target}: {readable_size(needed)} are needed, {readable_size(free)} are free"
                )
            with atomic_file(target) as temporary, temporary.open("wb") as copy:
                shutil.copyfileobj(source, copy, _COPIED_BYTES)
    except (*_DAMAGED, KeyError) as error:
        raise UserError(f"{path}: does not hold {name} as expected ({error}); delete it") from None


def is_archive(name: str) -> bool:
    """By its suffix."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def stem_of(name: str) -> str:
    """An archive's name without its suffixes."""
    suffix = max((each for each in ARCHIVE_SUFFIXES if name.lower().endswith(each)), key=len, default="")
    return name[: len(name) - len(suffix)]


def open_archive(path: Path) -> Archive:
    """A zip or tar archive, or a table of pictures. A compressed tar archive is decompressed, beside itself.

    Raises:
        UserError: it is damaged, or claims more than is taken from anyone.
    """
    try:
        if path.suffix.lower() == ".zip":
            return _Zip(path)
        if path.suffix.lower() == _TABLE:
            return _Table(path)
        opener = _OPENERS.get(path.suffix.lower())
        return _Tar(_decompressed(path, opener) if opener else path)
    except (*_DAMAGED, tarfile.TarError, ValueError) as error:
        raise UserError(
            f"{path}: is no archive that can be read ({error}); delete it, or make it anew"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); delete it, or make it anew"
        ) from None


def _problem(name: str, size: int) -> str:
    if not is_text(name):
        return "has a name that is no UTF-8"
    if not is_plain(name):
        return "its name leads out of the archive"
    if size > LARGEST_MEMBER_BYTES:
        return f"would become {readable_size(size)}"
    return ""


def _require_few(count: int, path: Path) -> None:
    if count > MOST_MEMBERS:
        raise UserError(f"{path}: claims to hold {count} files, more than {MOST_MEMBERS}; it is not used")


class _Zip:
    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        _require_few(len(self._archive.infolist()), path)
        self._index = {info.filename.removeprefix("./"): info for info in self._archive.infolist()}

    def members(self) -> Iterator[Member]:
        for name, info in self._index.items():
            if info.is_dir():
                continue
            problem = _problem(name, info.file_size)
            if info.external_attr >> 28 == 0o12:
                problem = "is a link"
            elif info.flag_bits & 1:
                problem = "is encrypted"
            yield Member(name, info.file_size, f"{info.CRC:08x}", problem)

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(self._index[name])
        except (*_DAMAGED, OSError, NotImplementedError) as error:
            raise UnreadableError(f"is damaged in its archive ({error})") from None


class _Table(PictureTable):
    def members(self) -> Iterator[Member]:
        return (Member(*each) for each in self.rows())


class _Tar:
    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
        self._index: dict[str, tuple[int, Member]] = {}  # where the members' contents begin
        with tarfile.open(path, "r:") as archive:
            for count, info in enumerate(archive, start=1):
                _require_few(count, path)
                if info.size < 0:
                    raise tarfile.ReadError(f"{shown(info.name)} claims {info.size} bytes")
                if info.isdir():
                    continue
                name = info.name.removeprefix("./")
                problem = _problem(name, info.size)
                if not info.isreg() or info.sparse:
                    problem = "is a link" if info.issym() or info.islnk() else "is no regular file"
                self._index[name] = (info.offset_data, Member(name, info.size, stamp, problem))
        if any(os.pread(self._stream.fileno(), _TAR_END_BYTES, status.st_size - _TAR_END_BYTES)):
            raise tarfile.ReadError("it ends too early")

    def members(self) -> Iterator[Member]:
        return (member for _, member in self._index.values())

    def read(self, name: str) -> bytes:
        start, member = self._index[name]
        content = os.pread(self._stream.fileno(), member.size, start)
        if len(content) < member.size:
            raise UnreadableError("is damaged in its archive (it ends too early)")
        return content


def _decompressed(path: Path, opener: _Opener) -> Path:
    """The tar archive in a compressed one, beside it: no place in a compressed one can be read by itself."""
    status = path.stat()  # in the copy's name: an archive in this one's place may be older than the copy
    target = path.with_name(f".{path.name}.{status.st_size:x}-{status.st_mtime_ns:x}.tar")
    if target.is_file():
        return target
    for former in path.parent.glob(f".{escape(path.name)}.*.tar"):
        former.unlink(missing_ok=True)
    left = MOST_EXPANSION * status.st_size
    with atomic_file(target) as temporary, opener(path) as source, temporary.open("wb") as copy:
        while chunk := _read(source):
            left -= len(chunk)
            if left < 0:
                raise UserError(f"{path}: becomes more than {MOST_EXPANSION} times as large; it is not used")
            copy.write(chunk)
    return target


def _read(source: _Compressed) -> bytes:
    try:
        return source.read(_COPIED_BYTES)
    except OSError as error:
        raise error if error.errno else EOFError(str(error)) from None  # gzip and bz2 say so: it is damaged
