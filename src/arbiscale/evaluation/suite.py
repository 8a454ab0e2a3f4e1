"""Evaluating models by every protocol of `evaluate.protocols`, whatever they were trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from arbiscale.config.evaluate import EvaluateSettings, by_name
from arbiscale.errors import UserError
from arbiscale.evaluation.distributions import PROTOCOL as GENERATION
from arbiscale.evaluation.distributions import evaluate_distributions
from arbiscale.evaluation.drawn import parse_size
from arbiscale.evaluation.generation import evaluate_generation
from arbiscale.evaluation.held_out import (
    HeldOutCrop,
    HeldOutData,
    PictureFolder,
    cut_held_out_crops,
    cut_random_crops,
)
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.protocols import BENCHMARK, CROP_PX, CROPS, PROTOCOLS, SAMPLE
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.evaluation.trade_off import evaluate_trade_off
from arbiscale.inference.model import Model

Step = Callable[[], Evaluation]
_TASKS = {"super_resolution": "super-resolution", "generation": "generation"}  # in words


def evaluate_models(
    models: Mapping[str, Model],
    data: HeldOutData,
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
        data: held-out photographs, and training crops for the protocol `generation`.
        settings: protocols, scales, sizes, counts, folders.
        seed: of crops and sampling noise.
        networks: behind metrics; columns of those unavailable are empty.
        extra: further models, by the names of their rows; those of another task are left out.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.

    Raises:
        UserError: no protocol could be followed.
    """
    evaluation = Evaluation(left_out=[*networks.unavailable])
    task = [*models.values()][-1].task
    further = {name: model for name, model in (extra or {}).items() if model.task == task}
    for name in (extra or {}).keys() - further.keys():
        evaluation.left_out.append(f"row {name}: its model was not made for {_TASKS[task]}")

    if task == "generation":
        steps = _generation(models, further, data, settings, seed, networks)
    else:
        steps = _super_resolution(models, further, data, settings, seed, networks, workers)
    for protocol in settings.protocols:
        if protocol not in steps:
            evaluation.left_out.append(_not_followed(protocol, task))
    for step in [step for name in (*settings.protocols, "trade_off") for step in steps.get(name, ())]:
        try:
            evaluation.extend(step())
        except UserError as error:
            evaluation.left_out.append(str(error))
    if not evaluation.scores:
        raise UserError("; ".join(evaluation.left_out))
    return evaluation


def _super_resolution(
    models: Mapping[str, Model],
    extra: Mapping[str, Model],
    data: HeldOutData,
    settings: EvaluateSettings,
    seed: int,
    networks: MetricNetworks,
    workers: int,
) -> dict[str, list[Step]]:
    """The evaluations that each protocol consists of, one a data set, and the trade-off curves."""

    def upscale(protocol: str, dataset: str, images: Callable[[], Sequence[HeldOutCrop]]) -> Evaluation:
        return evaluate_super_resolution(
            models,
            images(),
            PROTOCOLS[protocol].scales or settings.scales,
            seed=seed,
            networks=networks,
            protocol=PROTOCOLS[protocol],
            dataset=dataset,
            extra=extra,
            diversity_seeds=settings.diversity_seeds,
            workers=workers,
        )

    def trade_off() -> Evaluation:
        crops = cut_held_out_crops(data.photographs, settings.crop_px, settings.crops_per_photograph)
        drawing = {name: model for name, model in models.items() if model.task == "super_resolution"}
        return evaluate_trade_off(
            {**drawing, **extra}, crops, settings.trade_off, seed=seed, networks=networks
        )

    steps: dict[str, list[Step]] = {}
    for protocol, dataset, images in _pictures(data, settings, seed):
        steps.setdefault(protocol, []).append(partial(upscale, protocol, dataset, images))
    if settings.trade_off.scales:
        steps["trade_off"] = [trade_off]
    return steps


def _pictures(
    data: HeldOutData, settings: EvaluateSettings, seed: int
) -> Iterator[tuple[str, str, Callable[[], Sequence[HeldOutCrop]]]]:
    """Every protocol's data sets: the protocol, what the set is called besides it, and its pictures."""
    count, folders = settings.crops_per_photograph, settings.folders
    yield SAMPLE.name, "", partial(cut_held_out_crops, data.photographs, settings.crop_px, count)
    yield CROPS.name, "", partial(cut_random_crops, data.photographs, CROP_PX, count, seed)
    for protocol in ("div2k", "faces"):
        yield protocol, "", partial(PictureFolder, getattr(folders, protocol), f"evaluate.folders.{protocol}")
    for dataset, folder in by_name(folders.benchmark).items():
        key = f"evaluate.folders.benchmark: {dataset}"
        yield BENCHMARK.name, dataset, partial(PictureFolder, folder, key)


def _generation(
    models: Mapping[str, Model],
    extra: Mapping[str, Model],
    data: HeldOutData,
    settings: EvaluateSettings,
    seed: int,
    networks: MetricNetworks,
) -> dict[str, list[Step]]:
    """The evaluations that each protocol consists of."""
    sizes = [parse_size(size) for size in settings.generation_sizes]
    count = settings.generation_count
    drawing = {name: model for name, model in models.items() if model.task == "generation"}

    def sample() -> Evaluation:
        crops = cut_held_out_crops(data.photographs, settings.crop_px, settings.crops_per_photograph)
        return evaluate_generation(
            {**models, **extra}, crops, sizes, count=count, seed=seed, networks=networks
        )

    def sets() -> Evaluation:
        return evaluate_distributions(
            {**drawing, **extra}, data.training_crops, sizes, count=count, seed=seed, networks=networks
        )

    return {SAMPLE.name: [sample], GENERATION: [sets]}


def _not_followed(protocol: str, task: str) -> str:
    other = "super_resolution" if task == "generation" else "generation"
    return f"evaluate.protocols: {protocol}: needs models of {_TASKS[other]}; these are of {_TASKS[task]}"
