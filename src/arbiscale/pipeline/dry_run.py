"""What a pipeline will cost: real steps of every stage at full size, on noise and with random weights."""

from __future__ import annotations

import io
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from arbiscale.config.params import Params
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.sizes import Size
from arbiscale.data.dataset import VALIDATION_BATCH
from arbiscale.data.manifest import MANIFEST, read_manifest
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import HeldOutData, HeldOutPhotograph
from arbiscale.evaluation.networks import load_metric_networks
from arbiscale.evaluation.plan import Subject
from arbiscale.evaluation.store import Scratch
from arbiscale.evaluation.suite import evaluate_models
from arbiscale.imaging.writing import write_image
from arbiscale.inference.loading import load_model
from arbiscale.metrics.cost import now_seconds, peak_memory_mib
from arbiscale.models.device import choose_device
from arbiscale.models.folder import FirstStageConfig, save_autoencoder, save_latent_diffusion
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.local_implicit import LINFTraining
from arbiscale.training.untrained import STAGES, untrained_model, untrained_training

CROPS = Path("data/crops")
_STATES = 4  # that a paused training keeps: the last three and the best
_STEPS, _WARM_UP = 4, 2  # the first of them do not count
_NEVER = 10**9  # steps


@dataclass(frozen=True)
class Cost:
    """Of one stage, expected.

    Attributes:
        stage: its name.
        memory_mib: the most it held: tensors on a CUDA device, else the whole process.
        disk_bytes: a paused state's, or of the evaluation all models'.
        unit_seconds: of one step, or of one picture of the evaluation with all its rows and scales.
        units: how many there will be.
        seconds: of the whole, validations included.
    """

    stage: str
    memory_mib: float
    disk_bytes: int
    unit_seconds: float
    units: int
    seconds: float


@dataclass(frozen=True)
class Counts:
    """How much there is of everything: of data/crops where it has been cut, else the least."""

    training_crops: int = 1
    validation_crops: int = 1
    test_photographs: int = 1

    @classmethod
    def of(cls, folder: Path) -> Counts:
        """Of a folder of crops, which may be missing."""
        if not (folder / MANIFEST).is_file():
            return cls()
        manifest = read_manifest(folder)
        training, validation = (sum(manifest.sizes(split).values()) for split in ("train", "validation"))
        return cls(training, validation, len(manifest.photographs))


def dry_run(params: Params, counts: Counts) -> Iterator[Cost]:
    """The cost of every training stage and of the evaluation, each measured in a process of its own.

    Raises:
        UserError: a stage does not fit into memory.
    """
    for stage in (*STAGES, *params.baselines.train):
        yield _apart(stage, partial(training_cost, params, stage, counts))
    yield _apart("evaluate", partial(evaluation_cost, params, counts))


def left_out(params: Params, counts: Counts) -> Iterator[str]:
    """What the costs leave out, a line each."""
    if counts == Counts():
        yield "photographs beyond one of each split, as data/crops is missing; `dvc repro crop` cuts it"
    for protocol in params.evaluate.protocols:
        if protocol != "sample":
            yield f"evaluate.protocols: {protocol}"
    if params.evaluate.extra_models or params.baselines.train:
        yield "rows of other models in the evaluation"


def _apart(stage: str, measure: Callable[[], Cost]) -> Cost:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_silently, measure).result()
        except (BrokenProcessPool, torch.OutOfMemoryError, MemoryError):
            raise UserError(
                f"{stage}: does not fit into memory; lower its batch_size, or raise runtime.accumulate"
            ) from None


def _silently(measure: Callable[[], Cost]) -> Cost:
    with redirect_stdout(io.StringIO()):
        return measure()


def training_cost(params: Params, stage: str, counts: Counts) -> Cost:
    """Some steps, a validation and a checkpoint of a training."""
    module = untrained_training(params, stage)
    settings, runtime = module.training_settings, params.runtime
    if isinstance(module, LINFTraining):  # its second stage costs more, and its steps take turns
        first = module.settings.training.model_copy(update={"steps": 1})
        module.settings = module.settings.model_copy(update={"training": first})
    batch_size = settings.batch_size // (runtime.devices * runtime.num_nodes)
    module.training_settings = settings.model_copy(update={"steps": _STEPS, "batch_size": batch_size})
    stream = _Noise(max(params.data.sample_sizes, key=math.prod))
    kept_bytes, encoding_seconds = 0, 0.0
    if isinstance(module, DiffusionTraining) and module.encoded:
        count = params.diffusion.cache_latents * counts.training_crops
        stream.encoded, seconds = _encode_one(module, stream[0], choose_device(runtime.device))
        kept_bytes, encoding_seconds = count * stream.encoded.nbytes, count * seconds
    clock = _Clock(torch.stack([stream.crop(index) for index in range(VALIDATION_BATCH)]))
    with tempfile.TemporaryDirectory() as scratch:
        fit(module, stream, clock, runtime=_alone(runtime), seed=0, scratch=Path(scratch), recorder=clock)
        state_bytes = max(file.stat().st_size for file in Path(scratch).iterdir())
    step_seconds = (clock.validation_begun - clock.steps[_WARM_UP - 1]) / (_STEPS - _WARM_UP)
    validations = math.ceil(settings.steps / runtime.validate_every_steps)
    batches = math.ceil(counts.validation_crops / VALIDATION_BATCH)
    validating = validations * batches * (clock.validation_ended - clock.validation_begun)
    return Cost(
        stage,
        peak_memory_mib(choose_device(runtime.device)),
        _STATES * state_bytes + kept_bytes,
        step_seconds,
        settings.steps,
        settings.steps * step_seconds + validating + encoding_seconds,
    )


def evaluation_cost(params: Params, counts: Counts) -> Cost:
    """All rows of two pictures of the protocol `sample`, and the trade-off curves."""
    settings, runtime = params.evaluate, params.runtime
    config, model = untrained_model(params)
    device = choose_device(runtime.device)
    size = (settings.crop_px, settings.crop_px)
    with tempfile.TemporaryDirectory() as folder:
        photographs = []
        for seed, name in enumerate("ab"):
            pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
            write_image(Path(folder, f"{name}.png"), pixels)
            photographs.append(HeldOutPhotograph(name, Path(folder, f"{name}.png"), name, size))
        trained = {name: Path(folder, name) for name in STAGES}
        first_stage = FirstStageConfig(factor=config.factor, autoencoder=config.autoencoder)
        save_autoencoder(trained["autoencoder"], first_stage, model.space.autoencoder)
        for name in STAGES[1:]:
            save_latent_diffusion(trained[name], config, model)
        disk_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))
        models = {name: load_model(path, runtime.device) for name, path in trained.items()}
        few = settings.model_copy(
            update={"protocols": ["sample"], "crops_per_photograph": 1, "generation_count": 2}
        )
        networks = load_metric_networks(
            settings.perceptual, runtime.weights_dir, device, no_reference=settings.no_reference
        )
        begun = now_seconds(device)
        subject = Subject(models, HeldOutData(photographs), few, 0, networks)
        evaluate_models(subject, Scratch(Path(folder, "scratch")))
    seconds = (now_seconds(device) - begun) / len(photographs)
    count = counts.test_photographs * settings.crops_per_photograph
    return Cost("evaluate", peak_memory_mib(device), disk_bytes, seconds, count, count * seconds)


def _alone(runtime: RuntimeSettings) -> RuntimeSettings:
    """One process's part of the work, as it would do it; nothing between the steps."""
    changes = {"devices": 1, "num_nodes": 1, "workers": 0, "stall_minutes": 0, "webhook": ""}
    changes |= {"log_every_steps": 1, "validate_every_steps": _NEVER, "checkpoint_every_steps": _NEVER}
    return runtime.model_copy(update=changes)


def _encode_one(module: DiffusionTraining, crop: Tensor, device: torch.device) -> tuple[Tensor, float]:
    """What the cache keeps of a crop, and how long encoding it takes in a batch."""
    module.to(device)
    images = crop.expand(module.training_settings.batch_size, -1, -1, -1).to(device)
    module.samples = range(len(images))
    module.encode(images)
    begun = now_seconds(device)
    encoded = module.encode(images)
    return encoded[0].float().cpu(), (now_seconds(device) - begun) / len(images)


class _Noise(Dataset[Tensor]):
    """Crops of noise; where they are encoded, always the same one."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self.encoded: Tensor | None = None

    def crop(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, *self._size, generator=generator) * 2 - 1

    def __getitem__(self, index: int) -> Tensor:
        return self.crop(index) if self.encoded is None else self.encoded


class _Clock:
    """A recorder, and a validation of one batch, that note when steps and the validation were done."""

    validation_begun = validation_ended = 0.0

    def __init__(self, images: Tensor) -> None:
        self._images = images
        self.steps: list[float] = []

    def __iter__(self) -> Iterator[Tensor]:
        self.validation_begun = time.perf_counter()
        yield self._images

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if "train/loss" in metrics:
            self.steps.append(time.perf_counter())
        elif any(name.startswith("validation/") for name in metrics):
            self.validation_ended = time.perf_counter()

    def log_image(self, name: str, image: Any, step: int | None = None) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...
