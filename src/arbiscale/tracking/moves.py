"""Moves of the alias `champion`: who, when, why; each a run; of two at once, one wins."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from arbiscale.errors import UserError
from arbiscale.tracking.environment import command_state
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, find_version, versions_of

if TYPE_CHECKING:
    from mlflow.entities import Run

CHAMPION = "champion"
Kind = Literal["promote", "rollback"]
_MODEL, _FROM, _TO, _WHO, _WHY = "move.model", "move.from", "move.to", "move.who", "move.why"
NEXT = "next_move"  # a parameter, which no run takes twice: whoever writes it comes next
_ABANDONED_SECONDS = 600  # after which a move that did not end no longer keeps others from moving


@dataclass(frozen=True)
class Move:
    """A move of the alias, as it is recorded.

    Attributes:
        run_id: of its run.
        kind: how it came about.
        before: the version that was champion; None for none.
        after: the one that is since.
        who: user and host.
        why: the gate's finding, or what was given.
        at: seconds since the epoch.
    """

    run_id: str
    kind: Kind
    before: int | None
    after: int
    who: str
    why: str
    at: float


def champion(store: Store, name: str) -> Version | None:
    """The present champion of a registered model."""
    return find_version(store, name, f"@{CHAMPION}")


def moves(store: Store, name: str) -> list[Move]:
    """The moves that took place, the oldest first."""
    return [_read(run) for run in _runs(store, name) if run.info.status == "FINISHED"]


def former_champion(store: Store, name: str) -> Version:
    """The version that was champion before the present one, by the moves that took place.

    Raises:
        UserError: there is none, or the alias was moved otherwise.
    """
    held: list[int] = []
    for move in moves(store, name):
        if move.kind == "rollback":
            while held and held[-1] != move.after:
                held.pop()
        else:
            held.append(move.after)
    present = champion(store, name)
    if present is None:
        raise UserError(f"{name}: has no champion; `arbiscale promote` makes one")
    if not held or held[-1] != present.number:
        raise UserError(
            f"{name}: the champion (version {present.number}) was not set by `arbiscale promote`; "
            "promote the version you want"
        )
    for number in reversed(held[:-1]):
        if (found := find_version(store, name, str(number))) is not None and number != present.number:
            return found
    raise UserError(f"{name}: there was no champion before version {present.number}")


def move(
    store: Store,
    kind: Kind,
    version: Version,
    before: Version | None,
    why: str,
    record: Mapping[str, Any],
) -> Move:
    """Make a version the champion, unless another process was faster; recorded as a run.

    Args:
        store: of the registry.
        kind: how it came about.
        version: the next champion.
        before: the champion that it was compared with.
        why: in a line.
        record: what else is kept, as JSON.

    Raises:
        UserError: the champion is another one meanwhile, or is being moved; or as `Store.create_run`.
    """
    name = version.name
    tags = command_state(kind) | {
        "stage": kind,
        _MODEL: name,
        _FROM: str(before.number) if before else "",
        _TO: str(version.number),
        _WHO: f"{getpass.getuser()}@{platform.node()}",
        _WHY: why,
        "mlflow.note.content": why,
    }
    title = f"{kind} · {name} {before.number if before else 'none'} → {version.number}"
    run = store.create_run(title, tags)
    with _ended(store, run.info.run_id):
        _claim(store, name, run)
        present = champion(store, name)
        if (present and present.number) != (before and before.number):
            raise UserError(_overtaken(name, present))
        store.client.log_dict(run.info.run_id, dict(record), "decision.json")
        store.client.set_registered_model_alias(name, CHAMPION, str(version.number))
    return _read(store.client.get_run(run.info.run_id))


@contextmanager
def _ended(store: Store, run_id: str) -> Iterator[None]:
    """End a run as it turned out."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        store.client.set_terminated(run_id, status)


def _claim(store: Store, name: str, run: Run) -> None:
    """Become the move behind the last one. MLflow gives a run's parameter one value: only one process can.

    Raises:
        UserError: another one is.
    """
    from mlflow.exceptions import MlflowException

    last = _last(store, name)
    if last is None:  # there is nothing to hold on to
        return
    age = time.time() - last.info.start_time / 1000
    if last.info.status == "RUNNING" and _MODEL in last.data.tags and age < _ABANDONED_SECONDS:
        raise UserError(_being_moved(name, last))
    try:
        store.client.log_param(last.info.run_id, f"{NEXT}.{name}", run.info.run_id)
    except MlflowException:
        faster = _last(store, name)
        raise UserError(_being_moved(name, faster or last)) from None


def _last(store: Store, name: str) -> Run | None:
    """The end of the chain of moves; before the first one, the run that made the oldest version."""
    finished = [run for run in _runs(store, name) if run.info.status == "FINISHED"]
    if finished:
        last: Run | None = finished[-1]
    else:
        made = (each.run_id for each in versions_of(store, name) if each.run_id)
        last = store.find(next(made, ""))
    while last is not None and (following := last.data.params.get(f"{NEXT}.{name}")):
        last = store.find(following)
    return last


def _runs(store: Store, name: str) -> list[Run]:
    """Of all moves, also of those that failed, the oldest first."""
    return store.search(f"tags.`{_MODEL}` = '{name}'", order_by=["attributes.start_time ASC"])


def _being_moved(name: str, run: Run) -> str:
    tags = run.data.tags
    return (
        f"{name}: {tags.get(_WHO, 'another process')} was faster: version {tags.get(_TO)} was asked for; "
        f"look at what is champion now and try again"
    )


def _overtaken(name: str, present: Version | None) -> str:
    now = f"version {present.number} is champion now" if present else "there is no champion any more"
    return f"{name}: {now}: it was moved meanwhile; compare with that one"


def _read(run: Run) -> Move:
    tags = run.data.tags
    kind: Kind = "rollback" if tags["stage"] == "rollback" else "promote"
    before = int(tags[_FROM]) if tags[_FROM] else None
    ended = (run.info.end_time or run.info.start_time) / 1000
    return Move(run.info.run_id, kind, before, int(tags[_TO]), tags[_WHO], tags[_WHY], ended)
