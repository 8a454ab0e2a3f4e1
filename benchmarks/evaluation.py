"""Where the time of an evaluation goes: into the model, or into metrics."""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from arbiscale.config.sampling import SamplingSettings
from arbiscale.evaluation.held_out import cut_random_crops
from arbiscale.evaluation.networks import MetricNetworks, load_metric_networks
from arbiscale.evaluation.pictures import Truth
from arbiscale.evaluation.protocols import CROPS
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.metrics.quality import psnr, ssim
from arbiscale.metrics.spectrum import grid_energy
from benchmarks.figures import Figure
from benchmarks.photographs import bundled_photographs

SIDE_PX, SCENES = 192, ("astronaut", "coffee")
SCALES = (2, 2.7, 4, 6, 8, 12)
LEAST_SHARE = 80.0  # percent of the time in the model: the bar
PARTS: dict[str, Sequence[Callable[..., object]]] = {  # none of them calls another
    "the model": (LatentModel.encode, LatentModel.sample_latents, LatentModel.decode),
    "LPIPS": (Truth.__init__, MetricNetworks.distances),  # no other network is loaded
    "SSIM": (ssim,),
    "PSNR": (psnr,),
    "grid energy": (grid_energy,),
}


def evaluation(
    models: Sequence[Path], sampling: SamplingSettings, images: int, device: torch.device
) -> Iterator[Figure]:
    """Shares of the time that crops of 192 px take at six scales.

    Args:
        models: of an autoencoder first, then of super-resolution, as the stage evaluates them.
        sampling: of all models, as `evaluate.sampling`.
        images: crops, an even number.
        device: where they run.
    """
    loaded = {path.name: load_model(path, str(device), sampling=sampling) for path in models}
    networks = load_metric_networks(["lpips"], "", device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter  # beside other work, too
    profile = cProfile.Profile(clock)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        crops = cut_random_crops(bundled_photographs(SCENES, folder / "photographs"), SIDE_PX, images // 2, 0)
        scratch, upscalers = Scratch(folder / "scratch"), Upscalers(loaded, {}, 0, 1)
        work = SuperResolution(CROPS, "", crops, SCALES, upscalers, networks, scratch.album)
        profile.runcall(measure, [work], scratch)
    found = pstats.Stats(profile)
    whole: float = found.total_tt  # type: ignore[attr-defined]
    title = f"evaluation of {images} crops of {SIDE_PX} px at {len(SCALES)} scales"
    yield Figure(title, "s", whole)
    for name, functions in PARTS.items():
        share = 100 * sum(_seconds(found, function) for function in functions) / whole
        yield Figure(title, f"in {name}, %", share, at_least=LEAST_SHARE if name == "the model" else None)


def _seconds(found: pstats.Stats, function: Callable[..., object]) -> float:
    """Time spent in a function and what it calls."""
    code = function.__code__
    *_, cumulative, _ = found.stats[code.co_filename, code.co_firstlineno, code.co_name]  # type: ignore[attr-defined]
    return float(cumulative)
