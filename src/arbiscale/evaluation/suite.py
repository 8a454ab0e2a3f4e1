"""Evaluating models by every protocol of `evaluate.protocols`, whatever they were trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.evaluate import EvaluateSettings, by_name
from arbiscale.errors import UserError
from arbiscale.evaluation.crops import HeldOutCrop, cut_held_out_crops, cut_random_crops
from arbiscale.evaluation.folders import PictureFolder
from arbiscale.evaluation.generation import evaluate_generation, parse_size
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.protocols import BENCHMARK, CROP_PX, CROPS, DIV2K, FACES, PROTOCOLS, SAMPLE
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.model import Model

Photographs = Mapping[str, NDArray[np.uint8]]
Images = Callable[[], Sequence[HeldOutCrop]]


def evaluate_models(
    models: Mapping[str, Model],
    photographs: Photographs,
    settings: EvaluateSettings,
    *,
    seed: int,
    networks: MetricNetworks,
    extra: Mapping[str, Model] | None = None,
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
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.

    Raises:
        UserError: no protocol could be followed.
    """
    evaluation = Evaluation(left_out=[*networks.unavailable])
    further = {name: model for name, model in (extra or {}).items() if model.task == "super_resolution"}
    for name in (extra or {}).keys() - further.keys():
        evaluation.left_out.append(f"evaluate.extra_models.{name}: was not made for super-resolution")

    for name in settings.protocols:
        for follow in _steps(name, models, photographs, settings, seed, networks, further, workers):
            try:
                evaluation.extend(follow())
            except UserError as error:
                evaluation.left_out.append(str(error))
    if not evaluation.scores:
        raise UserError("; ".join(evaluation.left_out))
    return evaluation


def _steps(
    name: str,
    models: Mapping[str, Model],
    photographs: Photographs,
    settings: EvaluateSettings,
    seed: int,
    networks: MetricNetworks,
    extra: Mapping[str, Model],
    workers: int,
) -> Iterator[Callable[[], Evaluation]]:
    """The evaluations a protocol consists of, one a data set, each to be run by itself."""
    if [*models.values()][-1].task == "generation":

        def generate() -> Evaluation:
            if name != SAMPLE.name:
                raise UserError(f"evaluate.protocols: {name}: needs super-resolution; these models generate")
            crops = cut_held_out_crops(photographs, settings.crop_px, settings.crops_per_photograph)
            sizes = [parse_size(size) for size in settings.generation_sizes]
            count = settings.generation_count
            return evaluate_generation(models, crops, sizes, count=count, seed=seed, networks=networks)

        yield generate
        return
    protocol = PROTOCOLS[name]
    for dataset, images in _images(name, photographs, settings, seed):

        def upscale(dataset: str = dataset, images: Images = images) -> Evaluation:
            return evaluate_super_resolution(
                models,
                images(),
                protocol.scales or settings.scales,
                seed=seed,
                networks=networks,
                protocol=protocol,
                dataset=dataset,
                extra=extra,
                diversity_seeds=settings.diversity_seeds,
                workers=workers,
            )

        yield upscale


def _images(
    name: str, photographs: Photographs, settings: EvaluateSettings, seed: int
) -> Iterator[tuple[str, Images]]:
    """The data sets of a protocol: what they are called besides it, and how their pictures are had."""
    count, folders = settings.crops_per_photograph, settings.folders
    if name == SAMPLE.name:
        yield "", lambda: cut_held_out_crops(photographs, settings.crop_px, count)
    elif name == CROPS.name:
        yield "", lambda: cut_random_crops(photographs, CROP_PX, count, seed)
    elif name == DIV2K.name:
        yield "", lambda: PictureFolder(folders.div2k, "evaluate.folders.div2k")
    elif name == FACES.name:
        yield "", lambda: PictureFolder(folders.faces, "evaluate.folders.faces")
    for dataset, folder in by_name(folders.benchmark).items() if name == BENCHMARK.name else ():
        yield dataset, partial(PictureFolder, folder, f"evaluate.folders.benchmark: {dataset}")
