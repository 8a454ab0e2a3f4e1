"""Evaluating models by the settings of `evaluate`, whatever they were trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.evaluation.crops import HeldOutCrop
from arbiscale.evaluation.generation import evaluate_generation, parse_size
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.losses.perceptual import LPIPS
from arbiscale.model import Model


def evaluate_models(
    models: Mapping[str, Model],
    crops: Sequence[HeldOutCrop],
    settings: EvaluateSettings,
    *,
    seed: int,
    perceptual: LPIPS | None,
) -> Evaluation:
    """Evaluate an autoencoder and the models trained on it, by the task of the last one.

    Args:
        models: the autoencoder first, then in the order of their training.
        crops: of held-out photographs.
        settings: scales, sizes, counts.
        seed: of the sampling noise.
        perceptual: LPIPS; None = unavailable, its column is empty.
    """
    last = list(models.values())[-1]
    if last.task == "generation":
        sizes = [parse_size(size) for size in settings.generation_sizes]
        return evaluate_generation(
            models, crops, sizes, count=settings.generation_count, seed=seed, perceptual=perceptual
        )
    return evaluate_super_resolution(models, crops, settings.scales, seed=seed, perceptual=perceptual)
