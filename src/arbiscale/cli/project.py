"""Commands about the project's own files: check, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbiscale.workspace import repository_root


def check() -> None:
    """Validate the whole of params.yaml, as every stage does before it starts."""
    from arbiscale.config.params import check_params

    path = params_path()
    check_params(path)
    print(f"{path}: ok")


def weights(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="alexnet (lpips; the default), vgg16 (lpips_vgg, dists), inception (fid and its kin)."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Copy from this folder instead of downloading."),
    ] = None,
) -> None:
    """Put the pretrained networks behind metrics and losses into ./weights."""
    from arbiscale.pretrained.files import DEFAULT, fetch_weights

    fetch_weights(networks or DEFAULT, source)


def params_path() -> Path:
    """The workspace's params.yaml: here (also in DVC's copies), else at the root."""
    here = Path("params.yaml")
    return here if here.is_file() else repository_root() / here


def own_presets() -> Path:
    """The folder of the project's own presets, beside its params.yaml; it may be missing."""
    return params_path().parent / "presets"
