"""Commands about the project's own files and its parameters: check, weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.workspace import PHOTOGRAPHS_READ, repository_root

if TYPE_CHECKING:
    from arbiscale.config.params import Params


def check(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Also take real steps of every stage at full size; says memory, disk and time to expect.",
        ),
    ] = False,
    degraded: Annotated[
        Path | None,
        typer.Option(
            "--degraded",
            metavar="FILE.png",
            help="Also draw low-resolution pictures of some crops, clean and as data.realistic makes them.",
        ),
    ] = None,
) -> None:
    """Validate the whole of params.yaml, as every stage does, and say how the photographs have changed.

    Where low-resolution pictures are degraded, say how.
    """
    from arbiscale.config.params import check_params

    path = params_path()
    params = check_params(path)
    print(f"{path}: ok", flush=True)
    if params.data.degradation == "realistic" or "realistic" in params.evaluate.protocols:
        used = "trainings" if params.data.degradation == "realistic" else "evaluate.protocols alone"
        print(f"data.realistic: {params.data.realistic}; of {used}")
    if degraded:
        _show_degraded(params, degraded)
    _compare_source(params)
    _name_sets_to_fetch(params)
    _name_what_rows_lack(params)
    if dry_run:
        _expect(params)


def _show_degraded(params: Params, file: Path) -> None:
    """Draw the sheet; data/crops must be there."""
    from arbiscale.data.degradation import Degradation
    from arbiscale.data.degraded_sheet import draw_degraded
    from arbiscale.imaging.writing import write_image

    degradation = Degradation(params.data.realistic, params.seed)
    sheet = draw_degraded(params_path().parent / "data/crops", params.data.factor, degradation)
    write_image(file, sheet)
    print(f"written: {file}")


def _compare_source(params: Params) -> None:
    """Say what is wrong with the source, what a `dvc repro` would fetch, and what it would read."""
    from arbiscale.data.sources import open_source
    from arbiscale.errors import UserError

    source = open_source(params.data)
    try:
        if waiting := source.pending():
            print(f"data.source: {params.data.source}: `dvc repro` fetches {waiting}")
            return
        listing = source.list()
    except UserError as error:
        print(f"WARNING: {error}")
        return
    if not (repository_root() / PHOTOGRAPHS_READ).exists():
        return
    from arbiscale.data.index import open_index
    from arbiscale.data.scan import changes

    with open_index() as index:
        if next(index.known(source.key), None) is None:
            return
        found = changes(listing, index.known(source.key))
    if found:
        print(f"data.source: {params.data.source}: {found} since it was read; `dvc repro` reads what is new")


def _name_sets_to_fetch(params: Params) -> None:
    """Say which sets of benchmark pictures a `dvc repro` would fetch."""
    from arbiscale.config.named import by_name
    from arbiscale.data.benchmarks import pending

    chosen, folders = params.evaluate.protocols, params.evaluate.folders
    named = {"data.split.benchmarks": params.data.split.benchmarks}
    if "benchmark" in chosen:
        named["evaluate.folders.benchmark"] = folders.benchmark
    sets = {f"{key}: {name}": at for key, entries in named.items() for name, at in by_name(entries).items()}
    sets |= {
        f"evaluate.folders.{each}": getattr(folders, each) for each in ("div2k", "faces") if each in chosen
    }
    for key, place in sets.items():
        if waiting := pending(place, key):
            print(f"{key}: `dvc repro` fetches {waiting}")


def _name_what_rows_lack(params: Params) -> None:
    """Warn of what `evaluate` would not find when the trainings have ended."""
    from arbiscale.config.evaluate import ROWS
    from arbiscale.config.named import by_name

    extra, against = by_name(params.evaluate.extra_models), params.register_.gate.against
    if extra:
        from arbiscale.evaluation.peers import what_a_row_lacks

        for name, where in extra.items():
            if lack := what_a_row_lacks(where):
                print(f"WARNING: evaluate.extra_models: {name}: {where}: {lack}; `evaluate` needs it")
    if against not in {*ROWS, *params.baselines.train, *extra}:
        print(
            f"WARNING: register.gate.against: {against}: no row is called so; evaluate.extra_models adds rows"
        )


def _expect(params: Params) -> None:
    """Print the cost of every stage as it is measured, then of all."""
    from arbiscale.pipeline.dry_run import CROPS, Counts, dry_run, left_out
    from arbiscale.report.measures import duration

    counts = Counts.of(params_path().parent / CROPS)
    costs = []
    for cost in dry_run(params, counts):
        costs.append(cost)
        unit = "picture" if cost.stage == "evaluate" else "step"
        print(
            f"{cost.stage:<16} {duration(cost.seconds):>10}  "
            f"{cost.units} x {cost.unit_seconds:.3g} s a {unit}  "
            f"memory {cost.memory_mib:.0f} MiB  disk {cost.disk_bytes / 2**20:.0f} MiB",
            flush=True,
        )
    states = max(cost.disk_bytes for cost in costs[:-1])
    disk_mib = (states + costs[-1].disk_bytes) / 2**20
    free_mib = shutil.disk_usage(repository_root()).free / 2**20
    print(
        f"{'together':<16} {duration(sum(cost.seconds for cost in costs)):>10}  "
        f"memory {max(cost.memory_mib for cost in costs):.0f} MiB  "
        f"disk {disk_mib:.0f} MiB ({free_mib:.0f} MiB free)"
    )
    for reason in left_out(params, counts):
        print(f"not counted: {reason}")


def weights(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="alexnet (lpips; the default), vgg16 (lpips_vgg, dists), inception (fid and its kin), "
            "clip (clip_iqa), musiq, niqe."
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
