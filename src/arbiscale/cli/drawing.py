"""Commands that draw: upscale, generate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from arbiscale.cli.requests import (
    check_device,
    check_folder,
    check_place,
    find_model,
    parse_size,
    parse_target,
)
from arbiscale.errors import UserError

Where = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder or models:/NAME@ALIAS; otherwise what this repository trained last."
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Sampling steps; otherwise the model's own.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the sampling noise.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


def upscale(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Its suffix decides the format.")],
    scale: Annotated[
        str | None, typer.Option(metavar="FACTOR", help="Such as 2.7, or 2.7x3.1: vertical x horizontal.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Of the output in pixels, instead of --scale.")
    ] = None,
    model: Where = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Upscale a picture by any factor, or to any size."""
    from arbiscale.images import check_writable, read_image, write_image

    wanted = parse_target(scale, size)
    check_device(device)
    check_writable(output)
    check_place(output)
    where = find_model(model)
    pixels = read_image(source)
    target = wanted.of((pixels.shape[0], pixels.shape[1]))

    began = time.monotonic()
    with _memory_suffices():
        from arbiscale.model import load_model

        loaded = load_model(where, device=device)
        drawn = loaded.upscale(pixels, size=target, steps=steps, seed=seed)
    write_image(output, drawn)
    print(f"{output}: {target[0]}x{target[1]} px in {time.monotonic() - began:.1f} s")


def generate(
    folder: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Where the pictures go.")],
    size: Annotated[
        list[str],
        typer.Option(metavar="HxW", help="In pixels; given again, each latent is drawn at each size."),
    ],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many latents.")] = 1,
    model: Where = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Generate pictures of any size; picture i of seed S is that of seed S + i."""
    sizes = list(dict.fromkeys(parse_size(text) for text in size))
    check_device(device)
    check_folder(folder)
    where = find_model(model)

    from arbiscale.images import write_image

    with _memory_suffices():
        from arbiscale.model import load_model

        loaded = load_model(where, device=device)
        for one_seed in range(seed, seed + count):
            (pictures,) = loaded.generate(sizes, count=1, steps=steps, seed=one_seed)
            for (height, width), picture in zip(sizes, pictures, strict=True):
                path = folder / f"seed{one_seed}-{height}x{width}.png"
                write_image(path, picture)
                print(path, flush=True)


@contextmanager
def _memory_suffices() -> Iterator[None]:
    """Turn the ways in which numpy and torch run out of memory into one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
            raise UserError(
                "out of memory; ask for fewer pixels, or give a smaller input or --device cpu"
            ) from None
        raise
