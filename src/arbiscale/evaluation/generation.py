"""The protocol `sample` of generation: one latent at several sizes, and the autoencoder's reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from arbiscale.evaluation.comparisons import PER_ROW, Comparison, of_one, one_per_photograph
from arbiscale.evaluation.drawn import draw
from arbiscale.evaluation.held_out import HeldOutCrop, stack
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.pictures import agreement_with_half_size, as_shown, compare, in_batches
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_array
from arbiscale.inference.model import Model
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.self_similarity import self_similarity
from arbiscale.metrics.spectrum import grid_energy

GROUP = "generation"


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
        count: pictures per model.
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


def _reconstruct(
    evaluation: Evaluation, name: str, model: Model, crops: Sequence[HeldOutCrop], networks: MetricNetworks
) -> None:
    """Add the pictures encoded and decoded at their own size."""
    truth = stack(list(crops)).to(model.device)
    size = (truth.shape[-2], truth.shape[-1])
    begun = now_seconds(model.device)
    latent = in_batches(lambda part: model.encode(truth[part]), len(truth), size)

    def decode(size: Size) -> Tensor:
        return in_batches(lambda part: model.decode(latent[part], size), len(latent), size)

    images = decode(size)
    evaluation.add_time(GROUP, name, len(crops), now_seconds(model.device) - begun)
    shown = as_shown(images)
    metrics = compare(shown, as_shown(truth), networks)
    metrics["self_ssim"] = agreement_with_half_size(shown, decode).tolist()
    metrics["grid_energy"] = grid_energy((images + 1) / 2, (latent.shape[-2], latent.shape[-1])).tolist()
    photographs = [crop.photograph for crop in crops]
    evaluation.add(GROUP, name, photographs, images, metrics)
    evaluation.comparisons[name] = [
        Comparison(
            photographs[index],
            {name: to_array(images[index].nan_to_num(0)), "ground truth": to_array(truth[index])},
            {name: of_one(metrics, index)},
        )
        for index in one_per_photograph(photographs)
    ]


def _generate(
    evaluation: Evaluation, name: str, model: Model, sizes: Sequence[Size], count: int, seed: int
) -> None:
    """Add pictures drawn from noise: SelfSSIM over all pairs of sizes, grid energy over sizes."""
    comparisons: list[Comparison] = []
    for drawn in draw(model, sizes, count, seed):
        energies = [grid_energy((image + 1) / 2, drawn.latent_size) for image in drawn.images.values()]
        metrics = {"grid_energy": torch.stack(energies).nanmean(0).tolist()}
        pairs = [self_similarity(*pair) for pair in combinations(drawn.shown.values(), 2)]
        if pairs:
            metrics["self_ssim"] = torch.stack(pairs).mean(0).tolist()
        evaluation.add(GROUP, name, drawn.names, drawn.images[sizes[0]], metrics)
        evaluation.add_time(GROUP, name, len(drawn.names), drawn.seconds[sizes[0]])
        for index in range(min(len(drawn.names), PER_ROW - len(comparisons))):
            agreement = f", SelfSSIM {metrics['self_ssim'][index]:.3f}" if pairs else ""
            comparisons.append(drawn.comparison(index, agreement))
    evaluation.comparisons[name] = comparisons
