"""Evaluating models by every protocol of `evaluate.protocols`, whatever they were trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.evaluate import EvaluateSettings, by_name
from arbiscale.errors import UserError
from arbiscale.evaluation.crops import HeldOutCrop, cut_held_out_crops, cut_random_crops
from arbiscale.evaluation.distributions import PROTOCOL as GENERATION
from arbiscale.evaluation.distributions import evaluate_distributions
from arbiscale.evaluation.drawn import parse_size
from arbiscale.evaluation.folders import PictureFolder
from arbiscale.evaluation.generation import evaluate_generation
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.protocols import (
    BENCHMARK,
    CROP_PX,
    CROPS,
    DIV2K,
    FACES,
    PROTOCOLS,
    SAMPLE,
    Protocol,
)
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.imaging.coordinates import Size
from arbiscale.inference.model import Model

Photographs = Mapping[str, NDArray[np.uint8]]
Images = Callable[[], Sequence[HeldOutCrop]]
_TASKS = {"super_resolution": "super-resolution", "generation": "generation"}  # in words


def evaluate_models(
    models: Mapping[str, Model],
    photographs: Photographs,
    settings: EvaluateSettings,
    *,
    seed: int,
    networks: MetricNetworks,
    extra: Mapping[str, Model] | None = None,
    training_crops: Sequence[NDArray[np.uint8]] = (),
    workers: int = 0,
) -> Evaluation:
    """Evaluate an autoencoder and the models trained on it, by the task of the last one.

    A protocol that cannot be followed is left out, and `Evaluation.problems` says why.

    Args:
        models: the autoencoder first, then in the order of their training.
        photographs: the held-out ones, uint8 (height, width, 3).
        settings: protocols, scales, sizes, counts, folders.
        seed: of crops and sampling noise.
        networks: behind metrics; columns of those unavailable are empty.
        extra: further models, by the names of their rows; those of another task are left out.
        training_crops: square, uint8 (crop_px, crop_px, 3), for the protocol `generation`.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.

    Raises:
        UserError: no protocol could be followed.
    """
    evaluation = Evaluation(left_out=[*networks.unavailable])
    task = [*models.values()][-1].task
    further = {name: model for name, model in (extra or {}).items() if model.task == task}
    for name in (extra or {}).keys() - further.keys():
        evaluation.left_out.append(f"evaluate.extra_models.{name}: was not made for {_TASKS[task]}")

    suite = _Suite(models, further, photographs, training_crops, settings, seed, networks, workers)
    for protocol in settings.protocols:
        for follow in suite.steps(protocol):
            try:
                evaluation.extend(follow())
            except UserError as error:
                evaluation.left_out.append(str(error))
    if not evaluation.scores:
        raise UserError("; ".join(evaluation.left_out))
    return evaluation


@dataclass(frozen=True)
class _Suite:
    """What protocols are followed with, as `evaluate_models` takes it; `extra` of the models' task."""

    models: Mapping[str, Model]
    extra: Mapping[str, Model]
    photographs: Photographs
    training_crops: Sequence[NDArray[np.uint8]]
    settings: EvaluateSettings
    seed: int
    networks: MetricNetworks
    workers: int

    def steps(self, protocol: str) -> Iterator[Callable[[], Evaluation]]:
        """The evaluations a protocol consists of, one a data set, each to be run by itself."""
        task = [*self.models.values()][-1].task
        followed = (SAMPLE.name, GENERATION) if task == "generation" else (*PROTOCOLS,)
        if protocol not in followed:
            yield partial(self._refuse, protocol, task)
        elif protocol == GENERATION:
            yield self._generate
        elif task == "generation":
            yield self._generate_sample
        else:
            for dataset, images in self._images(protocol):
                yield partial(self._upscale, PROTOCOLS[protocol], dataset, images)

    def _refuse(self, protocol: str, task: str) -> Evaluation:
        other = "super_resolution" if task == "generation" else "generation"
        raise UserError(
            f"evaluate.protocols: {protocol}: needs models of {_TASKS[other]}; these are of {_TASKS[task]}"
        )

    def _upscale(self, protocol: Protocol, dataset: str, images: Images) -> Evaluation:
        return evaluate_super_resolution(
            self.models,
            images(),
            protocol.scales or self.settings.scales,
            seed=self.seed,
            networks=self.networks,
            protocol=protocol,
            dataset=dataset,
            extra=self.extra,
            diversity_seeds=self.settings.diversity_seeds,
            workers=self.workers,
        )

    def _generate_sample(self) -> Evaluation:
        crops = cut_held_out_crops(
            self.photographs, self.settings.crop_px, self.settings.crops_per_photograph
        )
        return evaluate_generation(
            {**self.models, **self.extra},
            crops,
            self._sizes(),
            count=self.settings.generation_count,
            seed=self.seed,
            networks=self.networks,
        )

    def _generate(self) -> Evaluation:
        drawing = {name: model for name, model in self.models.items() if model.task == "generation"}
        return evaluate_distributions(
            {**drawing, **self.extra},
            self.training_crops,
            self._sizes(),
            count=self.settings.generation_count,
            seed=self.seed,
            networks=self.networks,
        )

    def _sizes(self) -> list[Size]:
        return [parse_size(size) for size in self.settings.generation_sizes]

    def _images(self, protocol: str) -> Iterator[tuple[str, Images]]:
        """The data sets of a protocol: what they are called besides it, and how their pictures are had."""
        count, folders = self.settings.crops_per_photograph, self.settings.folders
        if protocol == SAMPLE.name:
            yield "", partial(cut_held_out_crops, self.photographs, self.settings.crop_px, count)
        elif protocol == CROPS.name:
            yield "", partial(cut_random_crops, self.photographs, CROP_PX, count, self.seed)
        elif protocol == DIV2K.name:
            yield "", partial(PictureFolder, folders.div2k, "evaluate.folders.div2k")
        elif protocol == FACES.name:
            yield "", partial(PictureFolder, folders.faces, "evaluate.folders.faces")
        for dataset, folder in by_name(folders.benchmark).items() if protocol == BENCHMARK.name else ():
            yield dataset, partial(PictureFolder, folder, f"evaluate.folders.benchmark: {dataset}")
