"""One picture of `upscale`: everything asked of it drawn, written and reported."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arbiscale.cli.jobs import STANDARD, Job, Output, Source, format_of, sizes_of
from arbiscale.cli.options import sampling_passes
from arbiscale.imaging.formats import Encoding
from arbiscale.progress import DrawingProgress

if TYPE_CHECKING:
    from arbiscale.imaging.picture import Picture
    from arbiscale.imaging.provenance import Input
    from arbiscale.inference.drawing import Drawing
    from arbiscale.inference.model import Model
    from arbiscale.inference.options import Dials, SamplerOptions


@dataclass(frozen=True)
class Options:
    """How every picture of a command is upscaled and written."""

    sampling: SamplerOptions
    tile: str | int
    self_ensemble: bool
    consistent: bool
    ending: str | None
    encoding: Encoding
    provenance: bool
    as_json: bool

    @property
    def members(self) -> int:
        """How often each picture is drawn."""
        from arbiscale.inference.self_ensemble import MEMBERS

        return MEMBERS if self.self_ensemble else 1


def draw(
    model: Model, picture: Picture, read: Input, job: Job, options: Options, progress: DrawingProgress
) -> None:
    """Draw everything that is asked of one picture; a latent is sampled once for each seed."""
    from arbiscale.inference.drawing import drawn_px
    from arbiscale.inference.provenance import describe
    from arbiscale.inference.writing import write_drawing

    sizes = sizes_of(job.outputs, picture.size, options.ending)
    latent = any(model.share_of_branch(output.fidelity) < 1 for output in job.outputs)
    pixels = [drawn_px(picture.size, size, consistent=options.consistent) for size in sizes]
    drawing: Drawing | None = None
    tiles = model.tiles(picture.size, options.tile)
    passes = options.members * tiles * sampling_passes(model, options.sampling.get("steps"))
    for seed in dict.fromkeys(each.seed for each in job.outputs):
        began = time.monotonic()
        own = [each for each in zip(job.outputs, sizes, pixels, strict=True) if each[0].seed == seed]
        resampled = drawing is None or (latent and model.timesteps > 0)  # else it is that of every seed
        progress.begin(own[0][0].path.name, own[0][2], passes if latent and resampled else 0)
        if drawing is None or resampled:
            drawing = model.sample(
                picture,
                tile=options.tile,
                latent=latent,
                seed=seed,
                self_ensemble=options.self_ensemble,
                consistent=options.consistent,
                **options.sampling,
            )
        drawing.seed = seed
        for index, (output, wanted, asked) in enumerate(own):
            if index:
                progress.begin(output.path.name, asked)
            dials: Dials = {"temperature": output.temperature, "fidelity": output.fidelity}
            record = describe(
                model,
                read,
                wanted,
                options.encoding,
                options.sampling,
                seed=seed,
                tile=options.tile,
                self_ensemble=options.self_ensemble,
                consistent=options.consistent,
                **dials,
            )
            write_drawing(
                drawing,
                wanted,
                output.path,
                suffix=options.ending if output.path == STANDARD else None,
                encoding=options.encoding,
                provenance=record if options.provenance else None,
                advance=progress.advance,
                **dials,
            )
            seconds, began = time.monotonic() - began, time.monotonic()
            lost = format_of(output, options.ending).lost(picture.metadata)
            problems = [*picture.problems, *([f"left out: {', '.join(lost)}"] if lost else [])]
            _report(job.source, output, wanted, seconds, tiles, problems, options, record)


def _report(
    source: Source,
    output: Output,
    size: tuple[int, int],
    seconds: float,
    tiles: int,
    problems: Sequence[str],
    options: Options,
    record: Mapping[str, str],
) -> None:
    """Say what was written, with what, and what was wrong with its source."""
    told = sys.stderr if output.path == STANDARD else sys.stdout
    if options.as_json:
        values: dict[str, object] = {
            "input": str(source.path),
            "output": str(output.path),
            "size": size,
            "seconds": round(seconds, 2),
            "seed": output.seed,
            **{name: float(record[name]) if name in record else None for name in ("temperature", "fidelity")},
            "tiles": tiles,
            "self_ensemble": options.self_ensemble,
            "consistent": options.consistent,
            "problems": problems,
        }
        print(json.dumps(values), file=told, flush=True)
        return
    for problem in problems:
        print(f"warning: {source.path}: {problem}", file=sys.stderr)
    print(f"{output.path}: {size[0]}x{size[1]} px in {seconds:.1f} s", file=told, flush=True)
