"""The command that draws a film: zoom."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from arbiscale.cli.options import (
    Compile,
    Device,
    Eta,
    Fidelity,
    Overwrite,
    Precision,
    PrecisionOption,
    Sampler,
    Seed,
    Steps,
    Temperature,
    Threads,
    Tile,
    Where,
    check_runtime,
    memory_suffices,
    open_model,
    parse_tile,
    sampling_passes,
)
from arbiscale.cli.requests import check_input, check_place, parse_point, parse_size
from arbiscale.errors import UserError
from arbiscale.progress import DrawingProgress, drawing_progress

_LONGER_SIDE_PX = 640  # of a frame where --size is not given


def zoom(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.mp4|gif", help="The film.")],
    to: Annotated[float, typer.Option(min=1, max=1000, help="Scale of the last frame.")] = 12,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Of a frame; otherwise 640 px on the longer side.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Length of the film.")] = 8,
    frames_per_second: Annotated[int, typer.Option("--fps", min=1, max=240, help="Frames per second.")] = 24,
    at: Annotated[
        str, typer.Option(metavar="Y,X", help="What is zoomed into; 0,0 is top left, 1,1 bottom right.")
    ] = "0.5,0.5",
    model: Where = None,
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Seed = 0,
    eta: Eta = None,
    temperature: Temperature = None,
    fidelity: Fidelity = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    compiled: Compile = False,
    threads: Threads = 0,
    tile: Tile = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Zoom into a picture: a film in which every frame is drawn at its own scale."""
    centre, chosen_tile = parse_point(at), parse_tile(tile)
    asked = parse_size(size) if size else None
    if output.suffix.lower() not in {".gif", ".mp4"}:
        raise UserError(f"{output}: a film is .mp4 or .gif")
    check_place(output)
    if output.exists() and not overwrite:
        raise UserError(f"{output}: exists; give --overwrite or name another output")
    where = check_runtime(device, model, shipped=True)

    from arbiscale.imaging.formats.film import check_encoder, check_frame, frame_count, write_film
    from arbiscale.imaging.picture import Picture
    from arbiscale.imaging.reading import as_srgb, read_picture

    check_encoder(output)
    picture = read_picture(source)
    check_input(source, picture.size)
    frame = _frame_size(picture.size, asked)
    check_frame(output, frame)
    for problem in picture.problems:
        print(f"warning: {source}: {problem}", file=sys.stderr)
    frames, rate = frame_count(output, seconds, frames_per_second)

    began = time.monotonic()
    with memory_suffices(), drawing_progress(1) as progress:
        from arbiscale.inference.zooming import zoom_frames

        loaded = open_model(where, device, precision, compiled, threads, progress)
        loaded.texture(temperature, seed)  # refused before the work
        latent = loaded.share_of_branch(fidelity) < 1
        tiles = loaded.tiles(picture.size, chosen_tile)
        passes = tiles * sampling_passes(loaded, steps) if latent else 0
        progress.begin(output.name, frames * frame[0] * frame[1], passes)
        drawing = loaded.sample(
            Picture(as_srgb(picture)),
            steps=steps,
            sampler=sampler,
            seed=seed,
            eta=eta,
            tile=chosen_tile,
            latent=latent,
        )
        shown = zoom_frames(
            drawing,
            frame,
            factor=to,
            frames=frames,
            centre=centre,
            temperature=temperature,
            fidelity=fidelity,
        )
        write_film(output, _counted(shown, progress), frames, frame, rate)
    print(f"{output}: {frames} frames of {frame[0]}x{frame[1]} px in {time.monotonic() - began:.1f} s")


def _frame_size(picture: tuple[int, int], asked: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) in even numbers, as H.264 wants them."""
    stretch = _LONGER_SIDE_PX / max(picture)
    height, width = asked or (round(picture[0] * stretch), round(picture[1] * stretch))
    return (max(2, height + height % 2), max(2, width + width % 2))


def _counted(frames: Iterator[Any], progress: DrawingProgress) -> Iterator[Any]:
    for frame in frames:
        yield frame
        progress.advance(frame.shape[0] * frame.shape[1])
