"""Commands about the paused states of interrupted stages: resume list, resume discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.pipeline.resume import State

app = typer.Typer(help="Show and remove the paused states of interrupted stages.", no_args_is_help=True)


@app.command(name="list")
def list_states() -> None:
    """Show every paused state: step, age, size, and the parameters that are not the present ones."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from arbiscale.pipeline.resume import states

    table = Table("state", "step", "age", "MiB", "other parameters", box=None, pad_edge=False)
    found = states()
    for state in found:
        step = state.step
        table.add_row(
            state.name,
            "" if step is None else str(step),
            _duration(state.age_seconds),
            f"{state.size_bytes / 2**20:.1f}",
            escape("\n".join(_changed(state))),
        )
    if found:
        Console(width=max(Console().width, 120)).print(table)
    else:
        print("No stage is paused.")


@app.command()
def discard(
    state: Annotated[str, typer.Argument(metavar="STATE", help="as `arbiscale resume list` names it")],
) -> None:
    """Remove a paused state; its stage starts from the beginning then."""
    from arbiscale.pipeline import resume

    print(f"removed {resume.discard(state)}")


def _changed(state: State) -> list[str]:
    from arbiscale.config.section import flatten
    from arbiscale.pipeline.fingerprint import tracked_parameters
    from arbiscale.workspace import repository_root

    try:
        return state.changed(flatten(tracked_parameters(state.stage, repository_root())))
    except UserError as error:  # dvc.yaml or params.yaml has no such stage or parameter now
        return [str(error)]


def _duration(seconds: float) -> str:
    """A rough duration: `5 min`, `3 h`, `12 days`."""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds) // 60:.0f} min"
