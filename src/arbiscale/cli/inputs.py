"""The command that hands an evaluation's low resolutions to other programs: inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbiscale.cli.project import params_path
from arbiscale.cli.requests import check_folder


def inputs(
    folder: Annotated[Path, typer.Argument(help="Gains GROUP/NAME.png, such as benchmark/set5/x4/baby.png.")],
) -> None:
    """Write what evaluate.protocols upscale, for another program (`folder:` in evaluate.extra_models)."""
    from arbiscale.config.params import check_params
    from arbiscale.data.degradation import Degradation
    from arbiscale.evaluation.held_out import read_held_out_data
    from arbiscale.evaluation.inputs import write_inputs

    check_folder(folder)
    path = params_path()
    params = check_params(path)
    data = read_held_out_data(path.parent / "data/crops", params.evaluate.split)
    degradation = Degradation(params.data.realistic, params.seed)
    for problem in write_inputs(data, params.evaluate, params.seed, folder, degradation):
        print(problem)
    print(f"written: {folder}")
