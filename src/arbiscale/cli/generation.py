"""The command that draws pictures from noise: generate."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.cli.jobs import STANDARD, Job, Output, Source, report_skipped, without_existing
from arbiscale.cli.options import (
    LARGEST_SEED,
    Compile,
    Device,
    Eta,
    Overwrite,
    Precision,
    PrecisionOption,
    Provenance,
    Sampler,
    Seed,
    SkipExisting,
    Steps,
    Temperature,
    Threads,
    Where,
    check_runtime,
    memory_suffices,
    open_model,
    sampling_passes,
)
from arbiscale.cli.requests import Target, check_folder, parse_format, parse_size
from arbiscale.errors import UserError
from arbiscale.imaging.formats import Encoding, find_format
from arbiscale.progress import drawing_progress

if TYPE_CHECKING:
    from arbiscale.inference.options import SamplerOptions


def generate(
    folder: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Where the pictures go.")],
    size: Annotated[
        list[str],
        typer.Option(metavar="HxW", help="In pixels; given again, each latent is drawn at each size."),
    ],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many latents.")] = 1,
    model: Where = None,
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Seed = 0,
    eta: Eta = None,
    temperature: Temperature = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    compiled: Compile = False,
    threads: Threads = 0,
    suffix: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="png|jpg|tif|webp|avif|gif|dzi", help="Of the files; png by default."
        ),
    ] = None,
    provenance: Provenance = True,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
) -> None:
    """Generate pictures of any size; picture i of seed S is that of seed S + i."""
    sampling: SamplerOptions = {"steps": steps, "sampler": sampler, "eta": eta}
    sizes = list(dict.fromkeys(parse_size(text) for text in size))
    ending = parse_format(suffix) or ".png"
    if folder == STANDARD:
        raise UserError("-: generate writes into a folder; name one")
    if seed + count - 1 > LARGEST_SEED:
        raise UserError(
            f"--seed {seed} --count {count}: the last seed is {LARGEST_SEED}; give less of either"
        )
    check_folder(folder)
    jobs = []
    for one in range(seed, seed + count):
        names = [f"seed{one}-{height}x{width}{ending}" for height, width in sizes]
        outputs = [
            Output(folder / name, Target(name, size=each), one)
            for name, each in zip(names, sizes, strict=True)
        ]
        jobs.append(Job(Source(STANDARD, Path(f"seed{one}")), tuple(outputs)))
    planned, jobs = jobs, without_existing(jobs, overwrite=overwrite, skip=skip_existing)
    report_skipped(planned, jobs)
    where = check_runtime(device, model)
    if not jobs:
        return

    for height, width in sizes:
        find_format(folder / f"{height}x{width}{ending}", (height, width))
    with memory_suffices(), drawing_progress(sum(len(job.outputs) for job in jobs)) as progress:
        loaded = open_model(where, device, precision, compiled, threads, progress)
        from arbiscale.inference.drawing import Drawing
        from arbiscale.inference.provenance import describe
        from arbiscale.inference.writing import write_drawing

        loaded.texture(temperature, seed)  # refused before the work
        groups = loaded.sharing_latents(sizes)
        for job, group in itertools.product(jobs, groups):
            one, latent_size = job.outputs[0].seed, loaded.latent_size_for(group[0])
            drawing: Drawing | None = None
            for each in job.outputs:
                wanted = each.target.of((1, 1))
                if wanted not in group:
                    continue
                sampled = sampling_passes(loaded, steps) if drawing is None else 0
                progress.begin(each.path.name, wanted[0] * wanted[1], sampled)
                if drawing is None:
                    latent = loaded.generate_latents(1, latent_size, seed=one, **sampling)
                    drawing = Drawing(loaded, latent, None, seed=one)
                record = describe(
                    loaded, latent_size, wanted, Encoding(), sampling, seed=one, temperature=temperature
                )
                write_drawing(
                    drawing,
                    wanted,
                    each.path,
                    temperature=temperature,
                    provenance=record if provenance else None,
                    advance=progress.advance,
                )
                print(each.path, flush=True)
