"""The command that draws larger pictures: upscale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.cli.drawing import Options, draw
from arbiscale.cli.estimating import estimate
from arbiscale.cli.jobs import (
    STANDARD,
    Source,
    find_sources,
    format_of,
    plan,
    report_skipped,
    sizes_of,
    without_existing,
)
from arbiscale.cli.options import (
    FIDELITY_HELP,
    LARGEST_SEED,
    TEMPERATURE_HELP,
    Compile,
    Consistent,
    Device,
    Eta,
    Overwrite,
    Precision,
    PrecisionOption,
    Provenance,
    Sampler,
    SelfEnsemble,
    SkipExisting,
    Steps,
    Threads,
    Tile,
    Where,
    check_runtime,
    memory_suffices,
    open_model,
    parse_tile,
)
from arbiscale.cli.requests import check_input, parse_dpi, parse_format, parse_targets
from arbiscale.errors import UserError
from arbiscale.files import sha256_of
from arbiscale.imaging.formats import Encoding
from arbiscale.pipeline.crew import join_crew
from arbiscale.progress import drawing_progress

if TYPE_CHECKING:
    from arbiscale.imaging.picture import Picture
    from arbiscale.imaging.provenance import Input
    from arbiscale.inference.options import SamplerOptions


def upscale(
    source: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Pictures, folders, 'patterns*', or - (standard input)."),
    ],
    destination: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A file, its suffix decides the format; a folder/; or -.")
    ],
    scale: Annotated[
        list[str] | None,
        typer.Option(metavar="FACTOR", help="Such as 2.7, or 2.7x3.1: vertical x horizontal; repeatable."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HxW", help="Of the output in pixels; Hx or xW keeps its proportions; repeatable."
        ),
    ] = None,
    model: Where = None,
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Of the noise and of texture, 0 by default; repeatable."),
    ] = None,
    eta: Eta = None,
    temperature: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help=f"{TEMPERATURE_HELP}; repeatable.")
    ] = None,
    fidelity: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help=f"{FIDELITY_HELP}; repeatable.")
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    compiled: Compile = False,
    threads: Threads = 0,
    tile: Tile = "auto",
    self_ensemble: SelfEnsemble = False,
    consistent: Consistent = False,
    suffix: Annotated[
        str | None,
        typer.Option("--format", metavar="png|jpg|tif|webp|avif|gif|dzi", help="In a folder, or of -."),
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.")] = 95,
    lossless: Annotated[bool, typer.Option("--lossless", help="Write WebP and AVIF without loss.")] = False,
    dpi: Annotated[
        str, typer.Option(metavar="keep|N", help="Pixels an inch; keep = the input's: the print grows.")
    ] = "keep",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say sizes, tiles, memory and time on this machine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each picture written.")
    ] = False,
    provenance: Provenance = True,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
) -> None:
    """Upscale pictures by any factor, or to any size; sizes, temperatures and fidelities share a latent."""
    targets = parse_targets(scale or [], size or [])
    chosen_tile = parse_tile(tile)
    ending = parse_format(suffix)
    output, in_folder = Path(destination), destination.endswith("/")
    if output == STANDARD:
        ending = ending or ".png"
    encoding = Encoding(quality, lossless, parse_dpi(dpi))
    crew = join_crew()
    sources, found = find_sources(source, output)
    if found.left_out and crew.rank == 0:
        print(found.summary(), file=sys.stderr)
    seeds = list(dict.fromkeys(seed or [0]))
    temperatures: list[float | None] = [*dict.fromkeys(temperature)] if temperature else [None]
    fidelities: list[float | None] = [*dict.fromkeys(fidelity)] if fidelity else [None]
    planned = plan(
        sources,
        output,
        targets,
        seeds,
        temperatures,
        fidelities,
        ending,
        in_folder=in_folder,
        skip_own=skip_existing,
    )
    jobs = without_existing(planned, overwrite=overwrite, skip=skip_existing)
    if crew.rank == 0:
        report_skipped(planned, jobs)
    where = check_runtime(device, model, shipped=True)
    for job in jobs:
        for each in job.outputs:
            format_of(each, ending)
    if not jobs:
        return
    first = _read(jobs[0].source) if len(jobs) == 1 else None  # refused before torch is loaded
    if first is not None:
        sizes_of(jobs[0].outputs, first[0].size, ending)

    crew.wait()  # what one writes, none finds while it plans
    own, failures = crew.own(jobs), 0
    with memory_suffices(), drawing_progress(sum(len(job.outputs) for job in own)) as progress:
        loaded = open_model(where, crew.device(device), precision, compiled, threads, progress)
        for value in temperatures:
            loaded.texture(value, seeds[0])  # refused before the work
        for value in fidelities:
            loaded.share_of_branch(value)
        sampling: SamplerOptions = {"steps": steps, "sampler": sampler, "eta": eta}
        options = Options(
            sampling, chosen_tile, self_ensemble, consistent, ending, encoding, provenance, as_json
        )
        for job in own:
            try:
                picture, read = first or _read(job.source)
                if dry_run:
                    sizes = sizes_of(job.outputs, picture.size, ending)
                    estimate(loaded, picture, job.outputs, sizes, options)
                    continue
                draw(loaded, picture, read, job, options, progress)
            except UserError as error:
                if len(jobs) == 1:
                    raise
                print(f"error: {error}", file=sys.stderr)
                failures += 1
    if failed := crew.total(failures):
        raise UserError(f"{failed} of {len(jobs)} pictures could not be upscaled")


def _read(source: Source) -> tuple[Picture, Input]:
    """A picture, and what its outputs say of it."""
    import hashlib
    import io

    from arbiscale.imaging.provenance import Input
    from arbiscale.imaging.reading import read_picture

    if source.path != STANDARD:
        name, picture = str(source.path), read_picture(source.path)
        digest = sha256_of(source.path) if source.path.is_file() else ""  # a pipe can be read only once
    elif sys.stdin is None:
        raise UserError("standard input: is closed; name a picture file")
    else:
        stream = io.BytesIO(sys.stdin.buffer.read())
        stream.name = name = "standard input"
        picture, digest = read_picture(stream), hashlib.sha256(stream.getvalue()).hexdigest()
    check_input(name, picture.size)
    return picture, Input(source.path.name, digest, picture.size)
