"""One optimizer step of each training: draw the loss, differentiate, update."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from arbiscale.config.params import Params
from arbiscale.data.degradation import Degradation, make_degradation
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import choose_precision
from arbiscale.training.untrained import STAGES, untrained_training
from benchmarks.figures import Figure
from benchmarks.measure import median_seconds, peak_mib


def training_steps(params: Params, device: torch.device, runs: int) -> Iterator[Figure]:
    """Time and memory of a step of every stage, at the batch and crop sizes of these parameters."""
    for stage in STAGES:
        ready = partial(prepare, params, stage, device)
        title = f"training step, {stage}"
        yield Figure(title, "s", median_seconds(ready(), runs, device))
        yield Figure(title, "peak memory above the loaded networks, MiB", peak_mib(ready, device))
        if degradation := make_degradation(params.data, params.seed):
            share = processor_seconds(degrade(params, stage, degradation), runs) / processor_seconds(
                ready(), runs
            )
            yield Figure(title, "share of degrading low-resolution images, processor time", share)


def degrade(params: Params, stage: str, degradation: Degradation) -> Callable[[], None]:
    """What a step of a stage does to make its low-resolution images."""
    side_px = params.data.augmentation.crop_px
    low_px = side_px // params.data.factor
    count = untrained_training(params, stage).training_settings.batch_size
    images = torch.rand(count, 3, side_px, side_px) * 2 - 1
    samples = itertools.count()  # others in every run, as probabilities and strengths decide the time

    def run() -> None:
        degradation(images, (low_px, low_px), [*itertools.islice(samples, count)])

    return run


def processor_seconds(function: Callable[[], object], runs: int) -> float:
    """Mean time of this process alone in several calls, after one that does not count."""
    function()
    begun = time.process_time()
    for _ in range(runs):
        function()
    return (time.process_time() - begun) / runs


def prepare(params: Params, stage: str, device: torch.device) -> Callable[[], None]:
    """A training with random weights whose next step is ready to be taken, in its own precision."""
    module = untrained_training(params, stage).to(device).train()
    if device.type == "cuda":
        module.to(memory_format=torch.channels_last)
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    side_px = params.data.augmentation.crop_px
    module.samples = range(module.training_settings.batch_size)
    images = torch.rand(module.training_settings.batch_size, 3, side_px, side_px, device=device) * 2 - 1
    if isinstance(module, DiffusionTraining) and module.encoded:
        images = module.encode(images)

    precision = choose_precision(module.training_settings.precision, device)
    short = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)

    def step() -> None:
        torch.manual_seed(0)  # the same target size and timesteps in every run
        optimizer.zero_grad()
        with torch.autocast(device.type, short or torch.bfloat16, enabled=short is not None):
            loss = module.losses(images)["loss"]
        loss.backward()
        optimizer.step()

    return step
