"""Commands about the project's own files: check, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbiscale.cli.requests import is_model
from arbiscale.errors import UserError
from arbiscale.workspace import find_folder, repository_root


def check() -> None:
    """Validate the whole of params.yaml, as every stage does before it starts."""
    from arbiscale.config.params import load_params

    path = params_path()
    params = load_params(path)
    for section, folder in (
        ("autoencoder", params.autoencoder.init_from),
        ("diffusion", params.diffusion.init_from),
    ):
        if folder and not is_model(find_folder(folder)):
            raise UserError(
                f"{path}: {section}.init_from: {folder}: no model there (no config.json); "
                "`arbiscale import-checkpoint` makes one"
            )
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
