"""What photographs come in that are fetched first: single pictures, folders and archives of them."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from arbiscale.data.manifest import Rejected, Split
from arbiscale.data.sources.archives import Archive, Member, is_archive, open_archive, stem_of
from arbiscale.data.sources.source import (
    CORES,
    Entry,
    Listing,
    Source,
    UnreadableError,
    is_hidden,
    is_text,
    no_picture,
    shown,
)
from arbiscale.errors import UserError
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures


@dataclass(frozen=True)
class Piece:
    """Something here that holds pictures, and what is known of them all."""

    content: Archive
    origin: str  # of what its members' names lie below
    place: Path  # where it lies here
    prefix: str = ""  # before the names of its pictures
    below: str = ""  # only what lies in a folder of this name, wherever that is; names begin with it
    names: frozenset[str] | None = None  # only pictures of these stems
    take: int | None = None  # only so many, spread evenly
    licence: str | None = None
    attribution: str | None = None
    split: Split | None = None

    def pictures(self) -> Iterator[tuple[str, Member]]:
        """Its pictures by the names that they get."""
        found = {name: each for each in self.content.members() if (name := self._name(each.name))}
        chosen = sorted(found)
        if self.take is not None and self.take < len(chosen):
            chosen = [chosen[index * len(chosen) // self.take] for index in range(self.take)]
        return ((name, found[name]) for name in chosen)

    def _name(self, name: str) -> str:
        """The name of a picture; empty = it is none, or is not asked for."""
        if self.below:
            _, found, rest = f"/{name}".partition(f"/{self.below}/")
            name = f"{self.below}/{rest}" if found else ""
        path = PurePosixPath(name)
        if path.suffix.lower() not in PHOTOGRAPH_SUFFIXES or is_hidden(name):
            return ""
        return f"{self.prefix}{name}" if self.names is None or path.stem in self.names else ""

    def without_pictures(self) -> UserError:
        """What is wrong where there is none."""
        below = f" below {self.below}/" if self.below else ""
        if self.names is not None:
            return UserError(f"data.downloads.names: names no picture of {self.place}{below}")
        return no_picture(f"{self.place}{below}", "remove it, or name another")

    def entry(self, name: str, member: Member) -> Entry:
        """One of its pictures."""
        return Entry(
            name,
            member.size,
            member.stamp,
            f"{self.origin}/{member.name}",
            self.licence,
            self.attribution,
            # another part may have pictures of the same name
            PurePosixPath(name).with_suffix("").as_posix() if self.split else None,
            None,
            self.split,
        )


class Pieces(Source):
    """A source of pieces: what a subclass brings here is listed and read in place."""

    parallel = CORES

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, tuple[Archive, str]] | None = None
        self._listing = Listing([])

    @abstractmethod
    def bring(self) -> Sequence[Piece]:
        """All pieces, fetched where they are not here.

        Raises:
            UserError, UnavailableError: one cannot be had.
        """

    def list(self) -> Listing:
        """Every picture of every piece."""
        with self._lock:
            self._look()
            return self._listing

    def read(self, name: str) -> bytes:
        """One picture's file."""
        with self._lock:
            places = self._places if self._places is not None else self._look()
        if name not in places:
            raise UnreadableError("is gone")
        archive, member = places[name]
        return archive.read(member)

    def _look(self) -> dict[str, tuple[Archive, str]]:
        entries, rejected, places = [], [], {}
        for piece in self.bring():
            found = False
            for name, member in piece.pictures():
                found = True
                if member.problem:
                    rejected.append(Rejected(shown(name), member.problem))
                    continue
                if name in places:
                    raise UserError(f"{name}: stands in two of the files of {self.key}; name one of them")
                entries.append(piece.entry(name, member))
                places[name] = (piece.content, member.name)
            if not found:
                raise piece.without_pictures()
        self._listing = Listing(sorted(entries, key=lambda entry: entry.name), rejected)
        self._places = places
        return places


class Folder:
    """Pictures that lie unpacked below a folder, or one that is a file: like an archive."""

    def __init__(self, root: Path, files: Sequence[Path] | None = None) -> None:
        self._root = root
        self._files = find_pictures(root, PHOTOGRAPH_SUFFIXES).files if files is None else files

    def members(self) -> Iterator[Member]:
        """All pictures, stamped with their modification times."""
        for path in self._files:
            status, name = path.stat(), path.relative_to(self._root).as_posix()
            problem = "" if is_text(name) else "has a name that is no UTF-8; rename it"
            yield Member(name, status.st_size, str(status.st_mtime_ns), problem)

    def read(self, name: str) -> bytes:
        """One of them."""
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror})") from None


def piece_of(path: Path, origin: str) -> Piece:
    """A fetched file as a piece: an archive, after which its pictures are named, or a picture."""
    if is_archive(path.name):
        return Piece(open_archive(path), origin, path, f"{stem_of(path.name)}/")
    return Piece(Folder(path.parent, [path]), origin.rpartition("/")[0], path)
