"""The command that holds measured models against each other: compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arbiscale.cli.registry import open_registry
from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.pipeline.contestants import Contestant
    from arbiscale.pipeline.gains import Gain

_KEY, _VALUE = 44, 24  # characters of a column

Gains = dict[str, "list[Gain]"]


def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|EXPERIMENT|VERSION]...",
            help="The first is what the others are compared with. One alone is compared with the champion; "
            "none: the challenger is.",
        ),
    ] = None,
    groups: Annotated[
        bool, typer.Option("--groups", help="Every scale or size by itself, not a protocol's together.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare measured models: parameters that differ, and paired differences with 95 % intervals."""
    from arbiscale.pipeline.contestants import differing_parameters, find_contestant, gains_over
    from arbiscale.tracking.moves import CHAMPION, champion
    from arbiscale.tracking.registry import CHALLENGER

    settings, store = open_registry()
    names = what or [CHALLENGER]
    if len(names) == 1:
        names = [CHAMPION, *names]
        if champion(store, settings.model_name) is None:
            raise UserError(f"{settings.model_name}: has no champion to compare with; name two")
    if len({*names}) < len(names):
        raise UserError(f"{' '.join(names)}: name each once")
    found = [find_contestant(store, name, settings.model_name) for name in names]
    for one, other in combinations(found, 2):
        if one.version is not None and one.version == other.version:
            raise UserError(f"{one.name} and {other.name} are both {one.version}; name others")
    first, *others = found
    parameters = differing_parameters(found)
    gains: list[Gains] = [dict(gains_over(first, each, each_group=groups)) for each in others]
    if as_json:
        pairs = zip(others, gains, strict=True)
        print(json.dumps(_values(found, parameters, {each.name: of_one for each, of_one in pairs}), indent=2))
        return
    print("\n".join(_parameter_lines(found, parameters)))
    for other, of_one in zip(others, gains, strict=True):
        print("\n".join(_gain_lines(first, other, of_one)))


def _values(
    found: list[Contestant], parameters: dict[str, list[str | None]], gains: dict[str, Gains]
) -> dict[str, Any]:
    names = [each.name for each in found]

    def of_groups(gains: Gains) -> dict[str, Any]:
        return {
            group: [each.values() | {"verdict": each.verdict} for each in of_group]
            for group, of_group in gains.items()
        }

    return {
        "parameters": {key: dict(zip(names, values, strict=True)) for key, values in parameters.items()},
        "gains": {name: of_groups(of_one) for name, of_one in gains.items()},
    }


def _parameter_lines(found: list[Contestant], parameters: dict[str, list[str | None]]) -> Iterator[str]:
    for each in found:
        if not each.parameters:
            yield f"{each.name}: its parameters are not recorded here"
    if not parameters:
        yield "no parameter differs"
        return
    yield f"{'':{_KEY}}" + "".join(f"  {each.title[:_VALUE]:<{_VALUE}}" for each in found).rstrip()
    for key, values in parameters.items():
        shown = ("–" if value is None else value for value in values)
        yield f"{key:{_KEY}}" + "".join(f"  {value:<{_VALUE}}" for value in shown).rstrip()


def _gain_lines(first: Contestant, other: Contestant, gains: Gains) -> Iterator[str]:
    from arbiscale.pipeline.gains import gains_lines

    yield ""
    yield f"{other.title} against {first.title}"
    differs = first.evaluated.identity["data"] != other.evaluated.identity["data"]
    if differs:
        yield "their data differ: photographs are matched by name"
    for group, of_group in gains.items():
        yield from gains_lines(group, of_group, first.title, other.title)
