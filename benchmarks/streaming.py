"""Whether an evaluation streams: peak memory of few and of many pictures, and a killed one continued.

    python -m benchmarks.streaming [--model pretrained] [--counts 200 2000] [--workers 2]

Synthetic pictures of 96 px, protocol `benchmark` at x4. Every evaluation is a process of its own; one more,
of the larger number, is killed (SIGKILL) at a random moment and continued: is its table the other's?
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from PIL import Image, ImageFilter
from rich.console import Console

from arbiscale.evaluation.held_out import pictures_below
from arbiscale.evaluation.networks import load_metric_networks
from arbiscale.evaluation.plan import Plan
from arbiscale.evaluation.protocols import BENCHMARK
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.suite import finish
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.imaging.writing import write_image
from arbiscale.inference.loading import load_model
from arbiscale.models.device import use_threads
from benchmarks.figures import Figure, as_table
from benchmarks.measure import machine

SIDE_PX, SCALE = 96, 4
MOST_GROWTH = 1.1  # of the peak: the bar
POLL_SECONDS = 0.1
TABLE = "table.parquet"


def streaming(model: str, counts: Sequence[int], workers: int, seed: int) -> Iterator[Figure]:
    """Peaks, their ratio, and whether the continued table equals the other."""
    few, many = counts
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peaks = {}
        for count in counts:
            write_pictures(folder / f"pictures{count}", count)
            begun = time.monotonic()
            done = _start(model, folder / f"pictures{count}", folder / f"scratch{count}", workers)
            peaks[count] = _peak_mib(done)
            seconds = time.monotonic() - begun
            yield Figure(f"{count} pictures of {SIDE_PX} px", "peak of all processes, MiB", peaks[count])
            yield Figure(f"{count} pictures of {SIDE_PX} px", "s", seconds)
        yield Figure("growth", "of the peak", peaks[many] / peaks[few], at_most=MOST_GROWTH)
        killed = _start(model, folder / f"pictures{many}", folder / "killed", workers)
        after = random.Random(seed).uniform(0.2, 0.8) * seconds
        time.sleep(after)
        killed.kill()
        killed.wait()
        kept = sum(len(pd.read_parquet(part)) for part in (folder / "killed/scores").glob("*.parquet"))
        _start(model, folder / f"pictures{many}", folder / "killed", workers).wait()
        tables = [pd.read_parquet(folder / each / TABLE) for each in (f"scratch{many}", "killed")]
        yield Figure("killed and continued", "killed after, s", after)
        yield Figure("killed and continued", "share of the lines that were kept", kept / len(tables[0]))
        same = tables[0].drop(columns="seconds").equals(tables[1].drop(columns="seconds"))
        yield Figure("killed and continued", "equal to the bit (1 = yes)", float(same), at_least=1.0)


def _peak_mib(process: subprocess.Popen[bytes]) -> float:
    """The most that it and its loading processes held at once, until it ends; shared pages count in each."""
    peak = 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(process.pid)
            peak = max(peak, sum(each.memory_info().rss for each in (own, *own.children(recursive=True))))
        time.sleep(POLL_SECONDS)
    return peak / 2**20


def write_pictures(folder: Path, count: int) -> None:
    """Smooth noise, different in every picture."""
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        smooth = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))
        pixels = np.asarray(smooth).astype(np.float64)
        stretched = (pixels - pixels.min()) / (pixels.max() - pixels.min()) * 255
        write_image(folder / f"{number:05d}.png", stretched.round().astype(np.uint8))


def evaluate(model: str, pictures: Path, folder: Path, workers: int) -> None:
    """Measure what is missing, and write the table."""
    use_threads(1)
    scratch, device = Scratch(folder), torch.device("cpu")
    upscalers = Upscalers({"model": load_model(model, "cpu")}, {}, seed=0, samples=1)
    networks = load_metric_networks(["lpips"], "", device)
    found = pictures_below(str(pictures), "pictures")
    work = SuperResolution(
        BENCHMARK, "synthetic", found, [SCALE], upscalers, networks, scratch.album, workers
    )
    measure([work], scratch)
    finish(Plan([work], networks=networks), scratch).scores.to_parquet(folder / TABLE, index=False)


def _start(model: str, pictures: Path, folder: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.streaming", "--evaluate", str(pictures), str(folder)]
    command += ["--model", model, "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every figure as it is measured, then the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--counts", type=int, nargs=2, default=[200, 2000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moment of the kill")
    parser.add_argument("--evaluate", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.evaluate:
        pictures, folder = options.evaluate
        evaluate(options.model, pictures, folder, options.workers)
        return
    figures = []
    for figure in streaming(options.model, options.counts, options.workers, options.seed):
        figures.append(figure)
        print(f"{figure.benchmark}: {figure.name} {figure.text}", flush=True)
    title = ", ".join(f"{name} {value}" for name, value in machine(torch.device("cpu")).items())
    Console().print(as_table(figures, title))


if __name__ == "__main__":
    main()
