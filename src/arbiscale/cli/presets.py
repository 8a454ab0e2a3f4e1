"""Commands about presets: list, show, apply."""

from __future__ import annotations

from typing import Annotated

import typer

from arbiscale.cli.project import own_presets, params_path

app = typer.Typer(help="Sets of values for params.yaml.")
Name = Annotated[str, typer.Argument(help="One that `arbiscale preset list` prints.")]


@app.command("list")
def list_() -> None:
    """Name the presets."""
    from arbiscale.config.preset import list_presets

    presets = list_presets(own_presets())
    width = max(map(len, presets), default=0)
    for name, description in presets.items():
        print(f"{name:{width}}  {description}")


@app.command()
def show(name: Name) -> None:
    """Print a preset's values."""
    from arbiscale.config.preset import find_preset

    print(find_preset(name, own_presets()).read_text(encoding="utf-8"), end="")


@app.command()
def apply(name: Name) -> None:
    """Merge a preset into params.yaml, keeping its comments, and print what changed."""
    from arbiscale.config.preset import apply_preset, find_preset

    preset = find_preset(name, own_presets())
    changes = apply_preset(params_path(), preset)
    for change in changes:
        print(change)
    if not changes:
        print(f"{params_path()}: already holds every value of {name}")
