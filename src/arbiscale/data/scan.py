"""From what a source lists to the record of its photographs: only what is new or changed is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from arbiscale.data.examination import Facts, examine
from arbiscale.data.index import Index, Known
from arbiscale.data.manifest import Photograph, Record, Rejected
from arbiscale.data.parallel import ALONE, Engine, Ready, read_and_compute
from arbiscale.data.sources.source import Entry, Listing, Source, UnreadableError
from arbiscale.data.tables import Rows
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder
from arbiscale.progress import progress

_SHOWN = 3  # reasons in one line


@dataclass(frozen=True)
class Changes:
    """Names of photographs, against those read last; a changed one is of another size or stamp."""

    added: list[str]
    removed: list[str]
    changed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        changed = f", {len(self.changed)} changed" if self.changed else ""
        return f"+{len(self.added)}, -{len(self.removed)}{changed}"


def changes(listing: Listing, known: Iterable[tuple[str, Known]]) -> Changes:
    """What a source lists, against what was read of it, both in the order of the names."""
    found = Changes([], [], [])
    for name, entry, each in _side_by_side(listing.entries, known):
        if each is None:
            found.added.append(name)
        elif entry is None:
            found.removed.append(name)
        elif not each.is_of(entry):
            found.changed.append(name)
    return found


def _side_by_side(
    entries: Iterable[Entry], known: Iterable[tuple[str, Known]]
) -> Iterator[tuple[str, Entry | None, Known | None]]:
    """Each name, with what is listed and what is known of it."""
    listed, read = iter(entries), iter(known)
    entry, (name, each) = next(listed, None), next(read, _NOTHING)
    while entry or each:
        ahead = entry is not None and (each is None or entry.name < name)
        behind = each is not None and (entry is None or name < entry.name)
        yield entry.name if entry and not behind else name, None if behind else entry, None if ahead else each
        if not behind:
            entry = next(listed, None)
        if not ahead:
            name, each = next(read, _NOTHING)


_NOTHING: tuple[str, None] = "", None


def scan(
    source: Source, destination: Path, index: Index, code: str, engine: Engine = ALONE
) -> tuple[Record, Changes]:
    """Fill `destination` with the record of a source.

    What an interrupted scan has read is in the index: the next one goes on from there.

    Args:
        source: of the photographs.
        destination: gets `sources.json`.
        index: of what was read before; gets what is read now.
        code: a hash of the code that reads; what other code read is read again.
        engine: that decodes and measures; see `arbiscale.data.parallel`.

    Raises:
        UserError: the source is missing, empty or refuses, or another process scans it with other code;
            `destination` is then as it was.
        UnavailableError: it cannot be reached.
    """
    listing = source.list()
    if listing.left_out:
        print(listing.left_out, flush=True)
    found = changes(listing, index.known(source.key))
    new = [
        entry
        for _, entry, each in _side_by_side(listing.entries, index.known(source.key))
        if entry and not (each and each.is_of(entry) and each.code == code)
    ]
    outcomes = read_and_compute(partial(_read, source), _examine, new, threads=source.parallel, engine=engine)
    examined = progress(zip(new, outcomes, strict=True), total=len(new), doing="Reading")
    for entry, (facts, reason, problems) in examined:
        for problem in problems:
            print(f"warning: {entry.name}: {problem}", flush=True)
        index.add(source.key, entry, code, facts, reason)
    index.remove(source.key, found.removed)
    record = _record(listing, index.known(source.key), code)
    with atomic_folder(destination) as folder:
        record.write(folder)
    return record, found


def summary(found: Changes, rejected: Iterable[Rejected]) -> str:
    """What changed and what is rejected, such as `+12, -1, 3 rejected (a.png: is truncated; ...)`."""
    reasons = [f"{each.source}: {each.reason}" for each in rejected]
    if not reasons:
        return f"{found}, none rejected"
    more = f"; {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return f"{found}, {len(reasons)} rejected ({'; '.join(reasons[:_SHOWN])}{more})"


_DESCRIBED = [field.name for field in fields(Entry) if field.name != "stamp"]
_MEASURED = [field.name for field in fields(Facts)]
_Outcome = tuple[Facts | None, str, tuple[str, ...]]  # facts, or why it is rejected; what is odd


def _read(source: Source, entry: Entry) -> bytes | Ready[_Outcome]:
    try:
        return source.read(entry.name)
    except UnreadableError as error:
        return Ready((None, str(error), ()))


def _examine(data: bytes) -> _Outcome:
    try:
        facts, problems = examine(data)
    except UserError as error:
        return None, str(error), ()
    return facts, "", problems


def _record(listing: Listing, known: Iterable[tuple[str, Known]], code: str) -> Record:
    photographs, rejected = Rows(Photograph), [*listing.rejected]
    for name, entry, each in _side_by_side(listing.entries, known):
        if entry is None:
            continue
        if each is None or not each.is_of(entry) or each.code != code:
            raise UserError(f"{name}: another process read or forgot it meanwhile; run `dvc repro` again")
        if each.facts is None:
            rejected.append(Rejected(name, each.reason))
            continue
        described = {key: getattr(entry, key) for key in _DESCRIBED}
        measured = {key: getattr(each.facts, key) for key in _MEASURED}
        photographs.append(Photograph(**measured, **described))
    return Record(photographs, sorted(rejected, key=lambda each: each.source))
