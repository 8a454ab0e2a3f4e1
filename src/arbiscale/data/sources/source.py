"""What a source of photographs does: it lists them, and reads one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from arbiscale.data.manifest import Rejected
from arbiscale.errors import UserError

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Entry:
    """A photograph as a source lists it, before anything of it is read."""

    name: str  # its path below the source, with forward slashes
    size: int  # bytes
    stamp: str  # another one = the content may be another: a modification time, an ETag, an archive's sha256
    origin: str  # where it came from, without any path of this machine
    licence: str | None = None  # None = unknown: the user's own
    attribution: str | None = None
    scene: str | None = None  # None = by data.split.scene_pattern
    unfit_for_test: str | None = None  # why it must never be a test photograph


@dataclass(frozen=True)
class Listing:
    """All that a source holds, in the order of the names."""

    entries: list[Entry]
    rejected: list[Rejected] = field(default_factory=list)  # pictures that cannot be read, and why
    left_out: str = ""  # what is no picture, in one line


class UnreadableError(UserError):
    """One photograph cannot be read: it is rejected. Any other error concerns the whole source."""


class Source(Protocol):
    """A place that photographs come from; they are read where they lie.

    Attributes:
        key: names the place among all that this machine has seen; may be a path of it.
        parallel: how many photographs are read at the same time.
    """

    key: str
    parallel: int

    def list(self) -> Listing:
        """What is there now, nothing read.

        Raises:
            UserError: the place is missing or holds no picture.
            UnavailableError: it cannot be reached.
        """

    def read(self, name: str) -> bytes:
        """The file of one photograph; called from several threads.

        Raises:
            UnreadableError: this one cannot be read.
            UserError: the place refuses.
            UnavailableError: it cannot be reached.
        """


def is_plain(name: str) -> bool:
    """Whether a name that others chose is a relative path that leads nowhere else."""
    path = PurePosixPath(name)
    return name == path.as_posix() and not path.is_absolute() and ".." not in path.parts
