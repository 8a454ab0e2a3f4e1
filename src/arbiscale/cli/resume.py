"""Commands about interrupted stages: list their states, discard one."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="The states that interrupted stages continue from.")


@app.command("list")
def list_() -> None:
    """Show every state: its stage, age, size, and the parameters that differ from params.yaml."""
    from arbiscale.cli.project import params_path
    from arbiscale.config.section import flatten, read_yaml
    from arbiscale.pipeline.resume import find_states, states_folder

    states = find_states()
    if not states:
        print(f"{states_folder()}: no stage was interrupted")
        return
    present = flatten(read_yaml(params_path()))
    table = Table("state", "stage", "age", "MiB", "parameters that differ", box=None, pad_edge=False)
    for state in states:
        hours = (time.time() - state.begun) / 3600
        other = [f"{key}={value}" for key, value in state.parameters.items() if present.get(key) != value]
        size = f"{state.bytes / 2**20:.0f}"
        table.add_row(state.name, state.stage, f"{hours:.1f} h", size, ", ".join(other) or "none")
    Console(width=max(Console().width, 120), markup=False).print(table)


@app.command()
def discard(state: Annotated[str, typer.Argument(help="as `arbiscale resume list` names it")]) -> None:
    """Remove the state of one interrupted stage; its training would start again from the beginning."""
    from arbiscale.pipeline.resume import discard

    removed = discard(state)
    print(f"{removed.stage}: state {removed.name} removed")
