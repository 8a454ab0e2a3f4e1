"""What a source of photographs does: it lists them, and reads one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from arbiscale.config.processors import available_processors
from arbiscale.data.manifest import Rejected, Split
from arbiscale.errors import UserError
from arbiscale.files import sha256_of_json
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES

CORES = available_processors()


@dataclass(frozen=True, slots=True)
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
    split: Split | None = None  # as published; None = by data.split


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
        """What is there now, no photograph read; what can only be had as a whole is fetched.

        Raises:
            UserError: the place is missing or holds no picture.
            UnavailableError: it cannot be reached.
        """

    def pending(self) -> str:
        """What `list` would fetch, in a few words; empty = nothing."""
        return ""

    def state(self) -> dict[str, str | int]:
        """A few values that are others where the photographs are: what DVC compares. Nothing is fetched.

        Raises:
            UserError, UnavailableError: as `list`.
        """
        listing = self.list()
        entries = [(entry.name, entry.size, entry.stamp) for entry in listing.entries]
        return {
            "photographs": len(entries),
            "bytes": sum(entry.size for entry in listing.entries),
            "sha256": sha256_of_json([entries, [dataclasses.astuple(each) for each in listing.rejected]]),
        }

    def read(self, name: str) -> bytes:
        """The file of one photograph; called from several threads.

        Raises:
            UnreadableError: this one cannot be read.
            UserError: the place refuses.
            UnavailableError: it cannot be reached.
        """


def no_picture(place: str, where: str) -> UserError:
    """Of a place where nothing has a photograph's suffix."""
    return UserError(f"{place}: holds no picture ({', '.join(sorted(PHOTOGRAPH_SUFFIXES))}); {where}")


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: no JSON holds another."""
    return name.encode(errors="ignore").decode() == name


def shown(name: str) -> str:
    """A name that may be no UTF-8, to be read by people."""
    return name.encode(errors="backslashreplace").decode()


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden: such pictures nobody means."""
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(name).parts)


def is_plain(name: str) -> bool:
    """Whether a name that others chose is a relative path that leads nowhere else."""
    path = PurePosixPath(name)
    return name == path.as_posix() and not path.is_absolute() and ".." not in path.parts
