"""Writing files and folders so that a reader sees the whole or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from arbiscale.errors import UserError

_PART = f".part-{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}"  # what this machine is writing


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place on success and vanishes on failure.

    Raises:
        UserError: the place cannot be written (permissions, disk full), naming it.
    """
    temporary = _beside(path, path.suffix[:16])
    try:
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
        with named_errors(path, temporary):
            yield temporary
            temporary.chmod(0o666 & ~_umask())  # safetensors makes its own private
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it was not made, or has taken its place
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces it on success and vanishes on failure.

    Raises:
        UserError: as `atomic_file`.
    """
    temporary, old = _beside(path), _beside(path)
    try:
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
        with named_errors(path, temporary):
            yield temporary
            for inside in temporary.rglob("*"):  # safetensors makes its own private
                inside.chmod((0o777 if inside.is_dir() else 0o666) & ~_umask())
            if path.is_dir():
                path.replace(old)
            temporary.replace(path)
    finally:
        if old.exists() and not path.exists():  # stopped right between the two
            old.replace(path)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def named_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's errors of writing a file or folder into one line that names it.

    Where a temporary path is given that `path` is written as, errors that name neither are others' and
    pass as they are.

    Raises:
        UserError: `path` cannot be written.
    """
    try:
        yield
    except OSError as error:
        named = [Path(str(name)).absolute() for name in (error.filename, error.filename2) if name is not None]
        own = [each.absolute() for each in (path, temporary) if each is not None]
        if temporary and named and not any(name.is_relative_to(each) for name in named for each in own):
            raise
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


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
                with named_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    # Where a folder's descriptor is given, link() follows /proc's link to the file.
                    os.link(itself, path, src_dir_fd=nameless, follow_symlinks=True)
                except FileExistsError:
                    with atomic_file(path) as temporary:  # a name beside the path, so that it is replaced
                        temporary.unlink()
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


def print_any_name() -> None:
    """Have standard output and error take files' names of any bytes, whatever the locale's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _beside(path: Path, ending: str = "") -> Path:
    """A name for what is to become `path`; known before it is made, so that no signal comes in between."""
    _clear(path.parent.absolute())
    return path.parent / f"{_PART}-{os.getpid()}-{secrets.token_hex(6)}{ending}"


@cache
def _clear(folder: Path) -> None:
    """Remove what killed processes of this machine left in a folder; once a process."""
    for path in folder.glob(f"{_PART}-*"):
        import psutil

        if not psutil.pid_exists(int(path.name.split("-")[2])):
            with suppress(OSError):  # another process removes it too, or it is someone else's
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _open_nameless(path: Path) -> int | None:
    """A file without a name that the path can be given to; None where the system knows no such thing."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").is_dir():
        return None
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        return os.open(nearest, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:  # the file system cannot, or the place is wrong: what follows says which
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, values: Any) -> None:
    """Write JSON, sorted and indented so that equal values give equal bytes."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """The sha256 of a file, or of a folder: its files' names and contents.

    A folder that holds a manifest.json stands for itself by that: it holds the hashes of the rest.

    Raises:
        UserError: there is nothing at the path.
    """
    if path.is_file():
        return sha256_of(path)
    if not path.is_dir():
        raise UserError(f"{path}: is missing; `dvc repro` makes it")
    manifest = path / "manifest.json"
    if manifest.is_file():
        return content_hash(manifest)
    files = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sha256_of_json({file.relative_to(path).as_posix(): content_hash(file) for file in files})


def sha256_of_json(values: Any) -> str:
    """The sha256 of values as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
