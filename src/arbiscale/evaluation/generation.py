"""Evaluating generation: one latent drawn at several sizes, and the autoencoder under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from arbiscale.coordinates import Size
from arbiscale.evaluation.crops import HeldOutCrop, stack
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.pictures import agreement_with_half_size, as_shown, batches, compare
from arbiscale.evaluation.scores import Comparison, Evaluation
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.self_similarity import self_similarity
from arbiscale.metrics.spectrum import grid_energy
from arbiscale.model import Model
from arbiscale.pixels import to_array

GROUP = "generation"
COMPARISONS = 6  # pictures kept to look at, per row


def evaluate_generation(
    models: Mapping[str, Model],
    crops: Sequence[HeldOutCrop],
    sizes: Sequence[Size],
    *,
    count: int,
    seed: int,
    networks: MetricNetworks,
) -> Evaluation:
    """Measure the autoencoder's reconstruction, and each model's pictures across sizes.

    Args:
        models: `autoencoder`, then models of generation in the order of their training.
        crops: of photographs, all of one size, for the reconstruction.
        sizes: (height, width) at which every latent is drawn; the first sets the latents' proportions.
        count: pictures a model.
        seed: of the noise.
        networks: behind metrics.
    """
    evaluation = Evaluation()
    evaluation.least_px |= networks.least_px
    for name, model in models.items():
        if model.task == "reconstruction":
            _reconstruct(evaluation, name, model, crops, networks)
        else:
            _generate(evaluation, name, model, sizes, count, seed)
    return evaluation


def parse_size(text: str) -> Size:
    """`160x224` as (height, width)."""
    height, width = text.split("x")
    return int(height), int(width)


def _reconstruct(
    evaluation: Evaluation, name: str, model: Model, crops: Sequence[HeldOutCrop], networks: MetricNetworks
) -> None:
    """Add the pictures encoded and decoded at their own size."""
    truth = stack(list(crops)).to(model.device)
    size = (truth.shape[-2], truth.shape[-1])
    begun = now_seconds(model.device)
    latent = torch.cat([model.encode(truth[part]) for part in batches(len(truth), size)])

    def draw(size: Size) -> Tensor:
        return torch.cat([model.decode(latent[part], size) for part in batches(len(latent), size)])

    images = draw(size)
    evaluation.add_time(GROUP, name, len(crops), now_seconds(model.device) - begun)
    shown = as_shown(images)
    metrics = compare(shown, as_shown(truth), networks)
    metrics["self_ssim"] = agreement_with_half_size(shown, draw).tolist()
    metrics["grid_energy"] = grid_energy((images + 1) / 2, (latent.shape[-2], latent.shape[-1])).tolist()
    photographs = [crop.photograph for crop in crops]
    evaluation.add(GROUP, name, photographs, images, metrics)
    evaluation.comparisons[name] = [
        Comparison(
            photographs[index],
            {name: to_array(images[index].nan_to_num(0)), "ground truth": to_array(truth[index])},
            {name: {metric: values[index] for metric, values in metrics.items()}},
        )
        for index in [photographs.index(each) for each in dict.fromkeys(photographs)][:COMPARISONS]
    ]


def _generate(
    evaluation: Evaluation, name: str, model: Model, sizes: Sequence[Size], count: int, seed: int
) -> None:
    """Add pictures drawn from nothing: SelfSSIM over all pairs of sizes, grid energy over sizes."""
    latent_size = model.latent_size_for(sizes[0])
    largest = max(sizes, key=lambda size: size[0] * size[1])
    comparisons: list[Comparison] = []
    seconds = 0.0
    for part in batches(count, largest):
        here = min(part.stop, count) - part.start
        begun = now_seconds(model.device)
        latent = model.generate_latents(here, latent_size, seed=seed + part.start)
        first = model.decode(latent, sizes[0])
        seconds += now_seconds(model.device) - begun
        images = [first, *(model.decode(latent, size) for size in sizes[1:])]
        shown = [as_shown(image) for image in images]
        grid = (latent.shape[-2], latent.shape[-1])
        metrics = {
            "grid_energy": torch.stack([grid_energy((image + 1) / 2, grid) for image in images]).nanmean(0)
        }
        pairs = [self_similarity(*pair) for pair in combinations(shown, 2)]
        if pairs:
            metrics["self_ssim"] = torch.stack(pairs).mean(0)
        numbers = [f"seed {seed}, picture {part.start + index}" for index in range(here)]
        lists = {metric: values.tolist() for metric, values in metrics.items()}
        evaluation.add(GROUP, name, numbers, first, lists)
        for index in range(min(here, COMPARISONS - len(comparisons))):
            pictures = {
                f"{height}x{width}": to_array(image[index].nan_to_num(0))
                for (height, width), image in zip(sizes, images, strict=True)
            }
            agreement = f", SelfSSIM {lists['self_ssim'][index]:.3f}" if pairs else ""
            comparisons.append(Comparison(numbers[index] + agreement, pictures, {}))
    evaluation.add_time(GROUP, name, count, seconds)
    evaluation.comparisons[name] = comparisons
