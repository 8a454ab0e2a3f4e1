"""Few steps: what samplers draw in few steps against many steps of DDIM, on held-out photographs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.evaluation.held_out import cut_held_out_crops
from arbiscale.evaluation.intervals import bootstrap_interval
from arbiscale.evaluation.pairs import Pairs, Preparation
from arbiscale.evaluation.pictures import as_shown
from arbiscale.evaluation.protocols import SAMPLE
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.quality import psnr
from arbiscale.pretrained.lpips import LPIPS
from benchmarks.figures import Figure
from benchmarks.photographs import bundled_photographs

SCENES = ("astronaut", "coffee", "china")  # of the bundled source; presets hold them out
CROP_PX, CROPS_PER_PHOTOGRAPH, SCALE = 256, 2, 4
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 25, 50, 100, 200)
SOLVERS: tuple[Sampler, ...] = ("dpm_solver", "unipc")
SOLVER_COUNTS = range(2, 26)  # in one step they are DDIM; they are made for few
TOLERANCE = 0.01


@dataclass(frozen=True)
class Compared:
    """A metric's mean, and the mean of its ratio to the reference's with a 95 % interval."""

    mean: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """What a sampler draws in so many steps, over all seeds and pictures; seconds of one picture."""

    sampler: Sampler
    steps: int
    psnr: Compared
    lpips: Compared
    seconds: float

    def no_worse(self, *, surely: bool) -> bool:
        """Whether both ratios, or the worse ends of their intervals, are within the tolerance."""
        psnr, lpips = (self.psnr.low, self.lpips.high) if surely else (self.psnr.ratio, self.lpips.ratio)
        return psnr >= 1 - TOLERANCE and lpips <= 1 + TOLERANCE


@dataclass(frozen=True)
class _Scores:
    """Of one sampler in so many steps: values of every seed and picture, seconds of one picture."""

    psnr: NDArray[np.float64]
    lpips: NDArray[np.float64]
    seconds: float


def few_steps(
    folder: Path, counts: Sequence[int], seeds: int, perceptual: LPIPS, device: torch.device
) -> Iterator[Outcome]:
    """The outcome of every sampler in every number of steps; the largest number of DDIM's is the reference.

    Pictures are drawn as `Model.upscale` does: conditioned, sampled (trailing spacing, eta 0), decoded.

    Args:
        folder: a model of super-resolution.
        counts: of steps.
        seeds: how many draws of the noise, the same for every sampler and number of steps.
        perceptual: LPIPS, on the device.
        device: where the model runs.
    """
    least = SamplingSettings(steps=1, spacing="trailing", eta=0.0)
    model = load_model(folder, str(device), sampling=least)
    pairs = held_out_pairs(device)
    _score(model, pairs, "ddim", 1, 1, perceptual)  # loads what is loaded once
    reference = _score(model, pairs, "ddim", max(counts), seeds, perceptual)
    photographs = [picture.photograph for picture in pairs.pictures] * seeds
    for sampler, steps in _ways(counts):
        is_reference = (sampler, steps) == ("ddim", max(counts))
        scores = reference if is_reference else _score(model, pairs, sampler, steps, seeds, perceptual)
        yield Outcome(
            sampler,
            steps,
            _compared(scores.psnr, reference.psnr, photographs),
            _compared(scores.lpips, reference.lpips, photographs),
            scores.seconds,
        )


def as_figures(outcome: Outcome, name: str, reference: int) -> Iterator[Figure]:
    """An outcome of the model of that name, as lines of the table."""
    title = f"{name} x{SCALE}, {outcome.sampler}, {outcome.steps} steps"
    yield Figure(title, "s a picture", outcome.seconds)
    for metric, unit, found in (("PSNR", ", dB", outcome.psnr), ("LPIPS", "", outcome.lpips)):
        yield Figure(title, f"{metric}{unit}", found.mean)
        ratio = f"{metric} / in {reference} of ddim"
        yield Figure(title, ratio, found.ratio, low=found.low, high=found.high)


def fewest(outcomes: Sequence[Outcome], name: str) -> Iterator[Figure]:
    """The fewest steps of each sampler that are no worse than the reference, where there are any."""
    title = f"{name} x{SCALE}, fewest steps no worse than {TOLERANCE:.0%}"
    for sampler in dict.fromkeys(outcome.sampler for outcome in outcomes):
        for surely, by in ((False, "the means"), (True, "the intervals")):
            enough = [
                each.steps for each in outcomes if each.sampler == sampler and each.no_worse(surely=surely)
            ]
            if enough:
                yield Figure(title, f"{sampler}, by {by}", min(enough))


def held_out_pairs(device: torch.device) -> Pairs:
    """Crops of the bundled photographs that no preset trains on, shrunk as the protocol `sample` does."""
    with tempfile.TemporaryDirectory() as folder:
        photographs = bundled_photographs(SCENES, Path(folder))
        crops = cut_held_out_crops(photographs, CROP_PX, CROPS_PER_PHOTOGRAPH)
        preparation = Preparation(SAMPLE, crops, [SCALE])
        return preparation.together([*preparation.load(range(len(crops)), 0)], SCALE, device)


def _ways(counts: Sequence[int]) -> Iterator[tuple[Sampler, int]]:
    for steps in sorted(counts):
        yield "ddim", steps
    for sampler in SOLVERS:
        for steps in sorted(counts):
            if steps in SOLVER_COUNTS:
                yield sampler, steps


def _score(
    model: Model, pairs: Pairs, sampler: Sampler, steps: int, seeds: int, perceptual: LPIPS
) -> _Scores:
    """Draw all pictures once for each seed and compare them with the truth."""
    size = (pairs.truth.shape[-2], pairs.truth.shape[-1])
    truth = as_shown(pairs.truth)
    signal, distance, times = [], [], []
    for seed in range(seeds):
        begun = now_seconds(model.device)
        latent = model.sample_latents(pairs.low, sampler=sampler, steps=steps, seed=seed)
        images = model.decode(latent, size, low_resolution=pairs.low)
        times.append((now_seconds(model.device) - begun) / len(images))
        shown = as_shown(images)
        signal.append(psnr(shown, truth))
        with torch.no_grad():
            distance.append(perceptual(shown * 2 - 1, truth * 2 - 1))
    return _Scores(_values(signal), _values(distance), float(np.median(times)))


def _values(of_seeds: Sequence[Tensor]) -> NDArray[np.float64]:
    return torch.cat(list(of_seeds)).double().cpu().numpy()


def _compared(
    values: NDArray[np.float64], reference: NDArray[np.float64], photographs: Sequence[str]
) -> Compared:
    """Each value against the reference's of the same seed and picture; photographs are drawn again whole."""
    ratios = values / reference
    low, high = bootstrap_interval(ratios, photographs, seed=0)
    return Compared(float(values.mean()), float(ratios.mean()), low, high)
