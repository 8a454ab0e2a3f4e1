"""Files that appear whole or not at all, whatever ends the process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from arbiscale.files import atomic_file, named_errors


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file open for writing and reading that takes its place under `path` on success.

    Where the system can, it has no name until then, nor have folders that are made for it: even a
    process killed outright leaves nothing.

    Raises:
        UserError: the place cannot be written (permissions, disk full), naming it.
    """
    with no_empty_folders(path):
        nameless = _open_nameless(path)
        if nameless is None:
            with atomic_file(path) as temporary, temporary.open("w+b") as stream:
                yield stream
            return
        itself = Path(f"/proc/self/fd/{nameless}")
        try:
            with named_errors(path, itself):
                with itself.open("r+b") as stream:
                    yield stream
                with atomic_file(path) as temporary:  # a name beside the path, so that it can be replaced
                    temporary.unlink()
                    # Where a folder's descriptor is given, link() follows /proc's link to the file.
                    os.link(itself, temporary, src_dir_fd=nameless, follow_symlinks=True)
        finally:
            os.close(nameless)


@contextmanager
def no_empty_folders(path: Path) -> Iterator[None]:
    """On failure, take the folders away that were made for a path and hold nothing."""
    missing = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # it was not made, or something else came into it
                folder.rmdir()
        raise


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield a file whose content goes to standard output on success."""
    with named_errors(Path("-")), tempfile.TemporaryFile() as stream:
        yield stream
        stream.seek(0)
        shutil.copyfileobj(stream, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _open_nameless(path: Path) -> int | None:
    """A file without a name that the path can be given to; None where the system knows no such thing."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").is_dir():
        return None
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        return os.open(nearest, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:  # the file system cannot, or the place is wrong: what follows says which
        return None
