"""Files from web servers, brought into a folder by one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from arbiscale.data.connections import Connections
from arbiscale.data.transfer import RemoteFile, Transfer, is_noted, note
from arbiscale.errors import UserError
from arbiscale.files import named_errors, sha256_of
from arbiscale.progress import LongTask, readable_size

_SPARE_BYTES = 2**27  # left free on the disk
_MEGABYTE = 10**6


def fetch(files: Sequence[RemoteFile], folder: Path, connections: int) -> None:
    """Bring files into a folder. Those that lie there are verified, once, and not fetched.

    An interrupted call leaves the parts that it has for the next one. Of several processes one fetches and
    the others wait. Proxies and credentials are those of the environment (HTTPS_PROXY, ~/.netrc).

    Raises:
        UserError: a server refuses, a file is not the one expected, the disk is full; all name the file.
        UnavailableError: a server cannot be reached.
    """
    if not any(_is_missing(file, folder) for file in files):
        return
    with alone(folder), Connections(connections) as servers:
        for place in {file.path(folder).parent for file in files}:
            with named_errors(place):
                place.mkdir(parents=True, exist_ok=True)
        wanted = [file for file in files if _is_missing(file, folder)]
        transfers = [Transfer(file, folder, servers) for file in wanted]
        pool = ThreadPoolExecutor(connections)
        try:
            list(pool.map(Transfer.begin, transfers))
            unpacked = sum(file.unpacked_bytes for file in wanted)
            _require_space(folder, sum(each.bytes_left for each in transfers), unpacked)
            parts = [(each, part) for each in transfers for part in each.todo]
            _await([pool.submit(each.fetch, part) for each, part in parts], transfers)
        finally:
            servers.stop()
            pool.shutdown(cancel_futures=True)


def missing(files: Sequence[RemoteFile], folder: Path) -> list[RemoteFile]:
    """Those that do not lie in the folder; nothing is verified."""
    return [file for file in files if not file.path(folder).is_file()]


def _await(futures: Sequence[Future[None]], transfers: Sequence[Transfer]) -> None:
    """Show how much has come until all parts are there, or one cannot be had."""
    total = sum(each.size or 0 for each in transfers) // _MEGABYTE
    before = sum(each.received for each in transfers) // _MEGABYTE
    waiting = set(futures)
    with LongTask("Fetching", total, "MB", done=before) as task:
        while waiting:
            finished, waiting = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
            for future in finished:
                future.result()
            new = sum(each.received for each in transfers) // _MEGABYTE - task.done
            if new > 0:
                task.total = max(task.total, task.done + new)  # where a server does not say its files' sizes
                task.advance(new)


def _require_space(folder: Path, fetched: int, unpacked: int) -> None:
    free = shutil.disk_usage(folder).free
    if fetched + unpacked + _SPARE_BYTES > free:
        more = f", {readable_size(unpacked)} to be unpacked" if unpacked else ""
        raise UserError(
            f"{folder}: {readable_size(fetched)} are to be fetched{more} "
            f"and {readable_size(free)} are free; "
            "name a folder of a larger disk in data.downloads.folder"
        )


@contextmanager
def alone(folder: Path, name: str = ".lock") -> Iterator[None]:
    """No other process fetches into the folder, which is made where there is none."""
    with named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"waiting for another process that fetches into {folder}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_missing(file: RemoteFile, folder: Path) -> bool:
    """Whether a file is not here.

    Raises:
        UserError: it is, and is another.
    """
    path = file.path(folder)
    if not path.is_file():
        return True
    if file.sha256 and not is_noted(path, file.sha256):
        found = sha256_of(path)
        if found != file.sha256:
            raise UserError(f"{path}: is not {file.name} as expected (its sha256 is {found}); delete it")
        note(path, found)
    return False
