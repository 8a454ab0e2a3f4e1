"""Options that several drawing commands take, and the model they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arbiscale.cli.requests import check_device, find_model
from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.inference.model import Model
    from arbiscale.progress import DrawingProgress


class Precision(StrEnum):
    """Of matrix products and convolutions."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


Where = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder, models:/NAME@ALIAS or pretrained; otherwise what this repository trained last.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Sampling steps; otherwise the model's own.")
]
SamplerName = Literal["ddim", "ddpm", "dpm_solver", "unipc", "euler"]
Sampler = Annotated[SamplerName | None, typer.Option(help="Otherwise the model's own.")]
LARGEST_SEED = 2**31 - 1
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the sampling noise, and of texture.")]
Eta = Annotated[
    float | None, typer.Option(min=0, max=1, help="Noise that ddim adds; otherwise the model's own.")
]
TEMPERATURE_HELP = "Of the texture that a flow draws, 0 = none; otherwise the model's own"
Temperature = Annotated[float | None, typer.Option(min=0, max=1, help=f"{TEMPERATURE_HELP}.")]
FIDELITY_HELP = "1 = only what the picture says, 0 = all that the model adds; otherwise the model's own"
Fidelity = Annotated[float | None, typer.Option(min=0, max=1, help=f"{FIDELITY_HELP}.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Of matrix products and convolutions.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the networks first: for many pictures of one size.")
]
Threads = Annotated[int, typer.Option(min=0, max=4096, help="On the CPU; 0 = torch's choice.")]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|none|PX", help="Longest side of a tile in input pixels; auto = as memory allows."
    ),
]
SelfEnsemble = Annotated[
    bool,
    typer.Option("--self-ensemble", help="Mean of 8 orientations: some 0.1 dB more, 8 times the time."),
]
Consistent = Annotated[bool, typer.Option("--consistent", help="Shrunk again, the output is the input.")]
Provenance = Annotated[
    bool, typer.Option("--provenance/--no-provenance", help="Write into the file what drew it.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave outputs that exist alone.")]


def parse_tile(text: str) -> str | int:
    """`auto`, `none` or pixels; raises UserError for anything else."""
    if text in {"auto", "none"}:
        return text
    if text.isascii() and text.isdecimal() and 0 < int(text) <= 2**20:
        return int(text)
    raise UserError(f"--tile: must be auto, none or a number of pixels such as 256 (got {text!r})")


def check_runtime(device: str, model: str | None, *, shipped: bool = False) -> str:
    """Refuse a wrong device; the place of the model, which is there; see `find_model`."""
    check_device(device)
    return find_model(model, shipped=shipped)


def open_model(
    where: str,
    device: str,
    precision: Precision,
    compiled: bool,
    threads: int,
    progress: DrawingProgress | None = None,
) -> Model:
    """Load a model the way that was asked for, and have the passes of its networks counted."""
    import torch

    from arbiscale.inference.loading import load_model

    if threads:
        torch.set_num_threads(threads)
    try:
        model = load_model(where, device, precision=precision.value, compiled=compiled)
    except OSError as error:  # such as a file of the model that may not be read
        file, reason = error.filename or where, error.strerror or error
        raise UserError(f"{file}: cannot be read ({reason}); give another --model") from None
    if progress is not None and not compiled:  # a hook would be compiled with its network
        for network in model.networks():
            network.register_forward_hook(lambda *_: progress.passed())
    return model


def sampling_passes(model: Model, steps: int | None) -> int:
    """How often a model's networks are called to read a tile and sample it; steps: None = the model's own."""
    reading = 0 if model.task == "generation" else 1 + model.has_branch
    return reading + ((steps or model.sampling.steps) if model.sampling and model.timesteps else 0)


@contextmanager
def memory_suffices() -> Iterator[None]:
    """Turn the ways in which numpy and torch run out of memory into one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
            raise UserError("out of memory; give a smaller --tile, a smaller input or --device cpu") from None
        raise
