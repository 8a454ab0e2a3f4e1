"""All heads side by side on the same features: time, memory, and the share of the matrix rate."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.imaging.coordinates import Size
from arbiscale.networks.heads import build_head
from arbiscale.networks.local_ensemble import LocalEnsembleHead
from arbiscale.networks.texture import Texture
from benchmarks.figures import Figure
from benchmarks.measure import matmul_rate, peak_mib, seconds

FEATURES = 128
LATENT_PX = 48
WIDTH = 256
CHEAPER = 1 / 3  # bar: of the LIIF head's time, for the Fourier head in its place
_ROWS = 2048  # of the product whose rate is the measure
_TEXTURE = Texture(0.8, seed=0)

IN_PLACE = "fourier, 32 frequencies"
HEADS = {
    "liif": HeadSettings(kind="liif", width=WIDTH, layers=4),
    IN_PLACE: HeadSettings(kind="fourier", width=WIDTH, layers=3, frequencies=32),
    "fourier, 128 frequencies (as published)": HeadSettings(
        kind="fourier", width=WIDTH, layers=3, frequencies=128
    ),
    "flow of pixels": HeadSettings(kind="flow", width=WIDTH, layers=3, frequencies=32, patch_px=1),
    "flow of 3x3 patches": HeadSettings(
        kind="flow", width=WIDTH, layers=3, frequencies=32, patch_px=3, blend_patches=False
    ),
    "flow of 3x3 patches, blended": HeadSettings(
        kind="flow", width=WIDTH, layers=3, frequencies=32, patch_px=3, blend_patches=True
    ),
}


def heads(output_px: int, device: torch.device, runs: int) -> Iterator[Figure]:
    """Decoding 48x48 features of 128 channels to a square, without gradients, in float32."""
    size = (output_px, output_px)
    calls = {name: prepare(settings, size, device) for name, settings in HEADS.items()}
    for call in calls.values():
        call()  # warm-up
    flops = {name: _flop(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    rates = []
    for _ in range(runs):  # in turns, so that a slower minute of the machine falls on all
        rates.append(matmul_rate(_ROWS, WIDTH, torch.float32, device))
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    rate = statistics.median(rates)
    slowest = statistics.median(times["liif"])
    for name, settings in HEADS.items():
        title, took = f"{name}, {LATENT_PX} px -> {output_px} px", statistics.median(times[name])
        yield Figure(title, "s", took)
        bar = CHEAPER if name == IN_PLACE else None
        yield Figure(title, "share of the LIIF head's time", took / slowest, at_most=bar)
        yield Figure(title, "GFLOP of matrix products", flops[name] / 1e9)
        yield Figure(title, "share of the product's rate", flops[name] / took / rate)
        yield Figure(title, "peak memory, MiB", peak_mib(partial(prepare, settings, size, device), device))


def prepare(settings: HeadSettings, size: Size, device: torch.device) -> Callable[[], Tensor]:
    """Decoding with random weights, ready to be called.

    Not called yet: the allocator keeps the memory of a first call, which would not count in a second one.
    """
    torch.manual_seed(0)
    features = torch.randn(1, FEATURES, LATENT_PX, LATENT_PX).to(device)
    head = build_head(settings, FEATURES).to(device)
    return partial(_draw, head, features, size)


@torch.no_grad()
def _draw(head: LocalEnsembleHead, features: Tensor, size: Size) -> Tensor:
    return head(features, size, (0, 0, *size), texture=_TEXTURE)


def _flop(call: Callable[[], Tensor]) -> int:
    """Of the matrix products that a call really makes."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
