"""Pictures in Parquet files, as data sets of the hub have them: a column of files' contents."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from arbiscale.data.sources.source import UnreadableError
from arbiscale.errors import UserError, first_line
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.progress import readable_size

LARGEST_GROUP_BYTES = 2**32  # of rows that are read at once
_GROUPS = 2  # kept in memory, of all files: pictures are read in their order
_OPEN = 64  # files at a time
_reading = threading.Lock()  # a file is read by one thread at a time
_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"BM": ".bmp"}  # by how a file begins


class PictureTable:
    """The pictures of a file by their row: `00000012.jpg`.

    What a row takes is not known before it is read: sizes are means of their group of rows.

    Raises:
        UserError: it has not one column of pictures, or too large a group of rows.
        ValueError, OSError: it is no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        status = path.stat()
        self._stamp = f"{status.st_size} {status.st_mtime_ns}"
        with _reading:
            file = _open(path, self._stamp)
            self._column = _column(file.schema_arrow, path)
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        self._begins = [0, *accumulate(group.num_rows for group in groups)]
        self._bytes = [_bytes(group, self._column) for group in groups]
        if max(self._bytes, default=0) > LARGEST_GROUP_BYTES:
            raise UserError(
                f"{path}: a group of rows takes {readable_size(max(self._bytes))}; it is not used"
            )

    def rows(self) -> Iterator[tuple[str, int, str]]:
        """Name, size and stamp of every picture; of all contents only the first is read."""
        with _reading:
            names = _open(self._path, self._stamp).read([f"{self._column}.path"])
        paths = names[self._column].combine_chunks().field("path").to_pylist()
        usual = self._first_suffix()
        for group, size in enumerate(self._bytes):
            first, end = self._begins[group : group + 2]
            for row in range(first, end):
                suffix = PurePosixPath(paths[row] or "").suffix.lower()
                name = f"{row:08}{suffix if suffix in PHOTOGRAPH_SUFFIXES else usual}"
                yield name, size // (end - first), self._stamp

    def read(self, name: str) -> bytes:
        """One of them.

        Raises:
            UnreadableError: its row is empty or damaged.
        """
        content = self._content(int(PurePosixPath(name).stem))
        if content is None:
            raise UnreadableError("is empty in its table")
        return content

    def _first_suffix(self) -> str:
        content = self._content(0) or b"" if self._begins[-1] else b""
        return next((each for start, each in _SUFFIXES.items() if content.startswith(start)), ".jpg")

    def _content(self, row: int) -> bytes | None:
        group = bisect_right(self._begins, row) - 1
        try:
            with _reading:
                column = _group(self._path, self._stamp, group, self._column)
        except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's are these
            raise UnreadableError(f"is damaged in its table ({first_line(error)})") from None
        found: bytes | None = column[row - self._begins[group]].as_py()
        return found


@lru_cache(_OPEN)
def _open(path: Path, stamp: str) -> Any:
    """A file in a state; another in its place is opened anew."""
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path)


@lru_cache(_GROUPS)
def _group(path: Path, stamp: str, group: int, column: str) -> Any:
    """The contents of a group of rows."""
    return (
        _open(path, stamp).read_row_group(group, [f"{column}.bytes"])[column].combine_chunks().field("bytes")
    )


def _column(schema: Any, path: Path) -> str:
    """The one that holds pictures, as the package `datasets` writes them: structures of bytes and path."""
    import pyarrow

    found = [
        field.name
        for field in schema
        if pyarrow.types.is_struct(field.type)
        and {"bytes", "path"} <= {each.name for each in field.type}
        and field.type.field("bytes").type in (pyarrow.binary(), pyarrow.large_binary())
    ]
    if len(found) != 1:
        names = ", ".join(found or schema.names)
        raise UserError(f"{path}: not one of its columns ({names}) holds pictures; name another file")
    return found[0]


def _bytes(group: Any, column: str) -> int:
    """Of the contents in a group of rows."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    return sum(each.total_uncompressed_size for each in chunks if each.path_in_schema == f"{column}.bytes")
