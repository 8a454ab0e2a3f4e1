"""Print a table of what drawing and training cost on this machine, and write it as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console

from arbiscale.config.params import load_params
from arbiscale.config.preset import find_preset, preview_preset
from arbiscale.errors import UserError
from arbiscale.models.device import choose_device
from arbiscale.pretrained.lpips import load_lpips
from benchmarks.decode import Case, backward, forward
from benchmarks.diffusion import diffusion_steps
from benchmarks.evaluation import evaluation
from benchmarks.figures import Figure, as_table, write_figures
from benchmarks.heads import heads
from benchmarks.large import large
from benchmarks.measure import machine
from benchmarks.steps import COUNTS, as_figures, few_steps, fewest
from benchmarks.steps_plot import write_curve
from benchmarks.training import training_steps
from benchmarks.upscale import upscaling, upscaling_at_random

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
PARTS = ("decode", "heads", "backward", "upscale", "training")
SLOW_PARTS = ("large", "evaluation", "steps", "diffusion")  # minutes; run when asked for


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every figure as it is measured, then the table; exit with code 2 after a user error."""
    options = _parser().parse_args(arguments)
    console = Console()
    figures = []
    try:
        device = choose_device(options.device)
        where = machine(device)
        for figure in _measure(options, device):
            figures.append(figure)
            console.print(
                f"{figure.benchmark}: {figure.name} {figure.text}",
                style="dim",
                soft_wrap=True,
                markup=False,
            )
        write_figures(options.output, figures, where)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    console.print(as_table(figures, ", ".join(f"{name} {value}" for name, value in where.items())))
    console.print(f"written: {options.output}")


def _measure(options: argparse.Namespace, device: torch.device) -> Iterator[Figure]:
    runs: int = options.runs
    if "decode" in options.only:
        yield from forward(Case(output_px=options.decode_px), device, runs)
    if "heads" in options.only:
        yield from heads(options.decode_px, device, runs)
    if "backward" in options.only:
        yield from backward(Case(output_px=options.decode_px), device, runs)
    if "upscale" in options.only and options.model:
        yield from upscaling(options.model, options.model.name, options.upscale_px, device, runs)
    elif "upscale" in options.only:
        params = preview_preset(PARAMS, find_preset(options.preset))
        yield from upscaling_at_random(params, options.preset, options.upscale_px, device, runs)
    if "large" in options.only:
        yield from large(_trained(options, "large"), options.large_px, device)
    if "evaluation" in options.only:
        if not options.evaluated:
            raise UserError("--only evaluation: needs models; name a pipeline's folders with --evaluated")
        sampling = load_params(PARAMS).evaluate.sampling
        yield from evaluation(options.evaluated, sampling, options.crops, device)
    if "steps" in options.only:
        yield from _steps(_trained(options, "steps"), options, device)
    if "diffusion" in options.only:
        params = preview_preset(PARAMS, find_preset(options.preset))
        yield from diffusion_steps(params, options.preset, device, runs)
    if "training" in options.only:
        yield from training_steps(load_params(PARAMS), device, runs)


def _steps(model: Path, options: argparse.Namespace, device: torch.device) -> Iterator[Figure]:
    perceptual = load_lpips(load_params(PARAMS).runtime.weights_dir).to(device)
    outcomes = []
    for outcome in few_steps(model, options.step_counts, options.seeds, perceptual, device):
        outcomes.append(outcome)
        yield from as_figures(outcome, model.name, max(options.step_counts))
    yield from fewest(outcomes, model.name)
    if options.plot:
        write_curve(options.plot, outcomes, model.name)


def _trained(options: argparse.Namespace, part: str) -> Path:
    if not options.model:
        raise UserError(f"--only {part}: needs a trained model; name its folder with --model")
    model: Path = options.model
    return model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=(*PARTS, *SLOW_PARTS), default=PARTS, help="some of the parts"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each; medians are shown (default 5)")
    parser.add_argument("--decode-px", type=int, default=480, help="side of the decoded image (default 480)")
    parser.add_argument("--upscale-px", type=int, default=48, help="side of the picture (default 48)")
    parser.add_argument(
        "--large-px", type=int, default=16_384, help="side of the large output (default 16384)"
    )
    parser.add_argument("--step-counts", type=int, nargs="+", default=COUNTS, help="of sampling steps")
    parser.add_argument("--seeds", type=int, default=5, help="of the noise, for steps (default 5)")
    parser.add_argument("--plot", type=Path, help="file that the curve of steps is drawn into, .svg or .png")
    parser.add_argument("--model", type=Path, help="model folder to upscale with, instead of random weights")
    parser.add_argument(
        "--evaluated", type=Path, nargs="+", help="model folders to evaluate, the autoencoder's first"
    )
    parser.add_argument("--crops", type=int, default=100, help="to evaluate (default 100)")
    parser.add_argument("--preset", default="div2k", help="sizes of the networks with random weights")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N, mps")
    parser.add_argument("--output", type=Path, default=Path("benchmarks.json"))
    return parser


if __name__ == "__main__":
    main()
