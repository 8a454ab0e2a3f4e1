"""Commands that move the alias `champion`: promote, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from arbiscale.cli.registry import open_registry
from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.config.register import RegisterSettings
    from arbiscale.tracking.store import Store
    from arbiscale.tracking.versions import Version


def promote(
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="3, NAME/3 or an alias; otherwise the challenger.")
    ] = "challenger",
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Whatever the gate says; the reason is recorded.")
    ] = None,
) -> None:
    """Make a version the champion if it is better than the present one (register.gate)."""
    from arbiscale.tracking.moves import champion, move

    settings, store = open_registry()
    candidate = _find(store, version, settings.model_name)
    before = champion(store, candidate.name)
    if before is not None and before.number == candidate.number:
        raise UserError(f"{candidate.name} version {candidate.number}: is the champion already")
    if force is not None and not force.strip():
        raise UserError("--force: say why")
    holds, reason, record = _judge(store, settings, before, candidate, forced=force is not None)
    if not holds and force is None:
        raise UserError(
            f"{candidate.name} version {candidate.number}: is not promoted: {reason}; "
            "--force REASON does it all the same"
        )
    why = f"gate: {reason}" if force is None else f"forced: {force} (gate: {reason})"
    moved = move(store, "promote", candidate, before, why, record)
    print(f"{candidate.name} version {moved.after} is the champion now: {why}")


def _judge(
    store: Store, settings: RegisterSettings, before: Version | None, candidate: Version, *, forced: bool
) -> tuple[bool, str, dict[str, Any]]:
    """Whether the gate holds, why, and what is recorded of it; prints the table."""
    from arbiscale.config.named import by_name
    from arbiscale.pipeline.gate import decide, table
    from arbiscale.pipeline.reevaluation import scores_of

    gate = settings.gate if before else settings.gate.of_first
    against = gate.against
    names = (f"version {before.number}" if before else against, f"version {candidate.number}")
    try:
        metrics = {*by_name(gate.gain), *by_name(gate.regression)}
        old, new, source = scores_of(store, before, candidate, against, metrics)
        decision = decide(old, new, gate)
    except UserError as error:
        if not forced:
            raise UserError(f"{error}; --force REASON promotes without a comparison") from None
        print(f"not compared: {error}")
        return False, f"not compared ({error})", {"compared": str(error)}
    print(f"{candidate.name}: {names[1]} against {names[0]}, {source}")
    print(table(decision, *names))
    record = {"gate": gate.model_dump(), "scores": source, **decision.values()}
    return decision.holds, decision.reason(), record


def rollback(
    why: Annotated[str, typer.Option(help="Recorded with it.")] = "",
    name: Annotated[
        str | None,
        typer.Option("--model-name", help="Of the registered model; otherwise register.model_name."),
    ] = None,
) -> None:
    """Make the version that was champion before the champion again."""
    from arbiscale.tracking.moves import champion, former_champion, move

    settings, store = open_registry()
    former = former_champion(store, name or settings.model_name)
    reason = why or "no reason given"
    moved = move(store, "rollback", former, champion(store, former.name), reason, {"why": reason})
    print(f"{former.name} version {moved.after} is the champion again, after version {moved.before}")


def _find(store: Store, what: str, name: str) -> Version:
    from arbiscale.tracking.versions import named_version, versions_of

    found = named_version(store, what, name)
    if found is None:
        known = ", ".join(str(each.number) for each in versions_of(store, name))
        raise UserError(
            f"{name}: has no version {what}; versions: {known or 'none; `arbiscale register` makes one'}"
        )
    return found
