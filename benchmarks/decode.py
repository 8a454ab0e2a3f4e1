"""The implicit head against the machine's matrix product, and against its transcription."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Size
from arbiscale.networks.implicit_head import ImplicitHead
from arbiscale.networks.local_ensemble import chunk_queries, multiplied_in
from benchmarks.figures import Figure
from benchmarks.measure import matmul_rate, median_seconds, peak_mib, seconds
from benchmarks.transcription import Transcription

PUBLISHED_CHUNK = 1 << 16
ACCELERATED = 10.0  # bar: in bfloat16 on an accelerator, times faster than the transcription in float32
CHUNKS = (1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, PUBLISHED_CHUNK)


@dataclass(frozen=True)
class Case:
    """A head with random weights, the features it reads, and the size it draws.

    The published one by default: features (48, 48, 128), 132 -> 256 x 4 -> 3, 480x480 pixels.
    """

    latent_px: int = 48
    output_px: int = 480
    features: int = 128
    width: int = 256
    layers: int = 4

    @property
    def size(self) -> Size:
        """(height, width) of the output."""
        return (self.output_px, self.output_px)

    @property
    def flop(self) -> int:
        """Of the layers behind the first: what no way of computing the head can leave out."""
        a_row = 2 * self.width * ((self.layers - 1) * self.width + 3)
        return 4 * self.output_px**2 * a_row

    def build(self, device: torch.device) -> tuple[ImplicitHead, Tensor]:
        """The head and its features; its colours spread as an image's do (standard deviation 0.5)."""
        torch.manual_seed(0)
        features = torch.randn(1, self.features, self.latent_px, self.latent_px)
        head = ImplicitHead(self.features, self.width, self.layers)
        with torch.no_grad():
            head.output.weight *= 0.5 / head(features, (64, 64), (0, 0, 64, 64)).std()
        return head.to(device), features.to(device)


def draw(head: ImplicitHead, features: Tensor, size: Size) -> Tensor:
    """The whole output, without gradients."""
    with torch.no_grad():
        return head(features, size, (0, 0, *size))


def largest_difference(case: Case, device: torch.device) -> float:
    """Between the head's colours and its transcription's."""
    head, features = case.build(device)
    with torch.no_grad():
        expected = Transcription(head)(features, case.size, PUBLISHED_CHUNK)
    return float((draw(head, features, case.size) - expected).abs().max())


def forward(case: Case, device: torch.device, runs: int) -> Iterator[Figure]:
    """Decoding without gradients, in float32 and in bfloat16."""
    head, features = case.build(device)
    exact = draw(head, features, case.size)
    whole = f"decode {case.latent_px} px -> {case.output_px} px"
    title = f"{whole}, float32"
    rate, took = _share(case, head, features, torch.float32, runs)
    yield Figure(title, "s", took)
    yield Figure(title, "matrix product, GFLOP/s", rate / 1e9)
    yield Figure(title, "share of the product's rate", case.flop / took / rate, at_least=0.8)
    yield Figure(title, "largest difference", largest_difference(case, device), at_most=1e-5)
    transcribed = []
    for name, chunk, other in _transcription(head, features, case.size, device, runs):
        transcribed.append(other)
        yield Figure(f"transcription at {name}", "queries at once", chunk)
        yield Figure(f"transcription at {name}", "s", other)
        yield Figure(f"transcription at {name}", "times the head's time", other / took)
    title = f"{whole}, bfloat16"
    if multiplied_in(torch.bfloat16, device) == torch.float32:
        title += " (multiplied in float32)"
    short, given = copy.deepcopy(head).bfloat16(), features.bfloat16()
    rate, took = _share(case, short, given, torch.bfloat16, runs)
    error = (draw(short, given, case.size) - exact).square().mean()
    yield Figure(title, "s", took)
    yield Figure(title, "matrix product, GFLOP/s", rate / 1e9)
    yield Figure(title, "share of the product's rate", case.flop / took / rate, at_least=0.65)
    yield Figure(title, "PSNR to float32, dB", float(10 * torch.log10(4 / error)), at_least=55)
    bar = None if device.type == "cpu" else ACCELERATED
    yield Figure(
        title, "times faster than the best float32 transcription", min(transcribed) / took, at_least=bar
    )


def backward(case: Case, device: torch.device, runs: int) -> Iterator[Figure]:
    """Decoding with gradients of features and weights: time here, memory in processes of their own."""
    title = f"decode and backward, {case.output_px} px"
    took, other = (median_seconds(step(case, device, way), runs, device) for way in ("head", "transcription"))
    yield Figure(title, "s", took)
    yield Figure(title, "transcription, s", other)
    yield Figure(title, "times faster", other / took, at_least=1.5)
    needs, theirs = (peak_mib(partial(step, case, device, way), device) for way in ("head", "transcription"))
    yield Figure(title, "peak memory, MiB", needs)
    yield Figure(title, "transcription, MiB", theirs)
    yield Figure(title, "share of the transcription's memory", needs / theirs, at_most=0.5)


def step(case: Case, device: torch.device, way: str) -> Callable[[], None]:
    """Forward and backward of the head or its transcription, ready to be called."""
    head, features = case.build(device)
    features.requires_grad_()
    transcription = Transcription(head)

    def run(size: Size) -> None:
        drawn = head(features, size, (0, 0, *size)) if way == "head" else transcription(features, size)
        drawn.square().mean().backward()
        head.zero_grad()
        features.grad = None

    run((8, 8))  # loads what is loaded once
    return partial(run, case.size)


def _share(
    case: Case, head: ImplicitHead, features: Tensor, dtype: torch.dtype, runs: int
) -> tuple[float, float]:
    """The matrix product's rate at the chunk's shape and the head's time, medians of alternating runs."""
    device = features.device
    rows = 4 * chunk_queries(case.width, multiplied_in(dtype, device), device, case.output_px**2)
    rates, times = [], []
    draw(head, features, case.size)
    for _ in range(runs):
        rates.append(matmul_rate(rows, case.width, dtype, device))
        times.append(seconds(lambda: draw(head, features, case.size), device))
    return statistics.median(rates), statistics.median(times)


def _transcription(
    head: ImplicitHead, features: Tensor, size: Size, device: torch.device, runs: int
) -> Iterator[tuple[str, int, float]]:
    """The transcription's time at the published chunk, and at the one that is fastest here."""
    transcription = Transcription(head)

    @torch.no_grad()
    def run(chunk: int) -> Tensor:
        return transcription(features, size, chunk)

    yield "the published chunk", PUBLISHED_CHUNK, median_seconds(partial(run, PUBLISHED_CHUNK), runs, device)
    best = min(CHUNKS, key=lambda chunk: seconds(partial(run, chunk), device))
    yield "its best chunk", best, median_seconds(partial(run, best), runs, device)
