"""Evaluating super-resolution: every row upscales the same crops, at every scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from arbiscale.coordinates import Size
from arbiscale.evaluation.crops import HeldOutCrop, stack
from arbiscale.evaluation.pictures import Draw, agreement_with_half_size, as_shown, batches, compare
from arbiscale.evaluation.scores import Comparison, Evaluation
from arbiscale.losses.perceptual import LPIPS
from arbiscale.metrics.consistency import consistency
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.spectrum import grid_energy
from arbiscale.model import Model
from arbiscale.pixels import to_array
from arbiscale.resize import resize

COMPARISONS = 6  # crops of different photographs kept to look at, per scale


@dataclass(frozen=True)
class _Row:
    """One way to draw all crops at one scale."""

    name: str
    draw: Draw
    latent_size: Size
    seconds: float | None  # spent on latents; None = speed says nothing


def evaluate_super_resolution(
    models: Mapping[str, Model],
    crops: Sequence[HeldOutCrop],
    scales: Sequence[float],
    *,
    seed: int,
    perceptual: LPIPS | None,
) -> Evaluation:
    """Measure bicubic, the autoencoder, each model and a control on crops of photographs.

    The crops are shrunk by each scale (antialiased bicubic, in 8 bits) to round(crop_px / scale) pixels, and
    drawn again at their own size. Rows: `bicubic`; `autoencoder`, which encodes the crop itself at the
    training's magnification (an upper bound); each further model under its name; `other_latent`, the last
    model's pictures from another photograph's latent (the control: what the latent contributes).

    Args:
        models: `autoencoder`, then models of super-resolution in the order of their training.
        crops: all of one size.
        scales: output / input.
        seed: of the sampling noise.
        perceptual: LPIPS; None = unavailable, its column is NaN.
    """
    evaluation = Evaluation()
    device = next(iter(models.values())).device
    truth = stack(list(crops)).to(device)
    for scale in scales:
        side = max(1, round(truth.shape[-1] / scale))
        low = as_shown(resize(truth, (side, side))) * 2 - 1
        _evaluate_scale(evaluation, f"x{scale:g}", models, crops, low, truth, seed, perceptual)
    return evaluation


def _evaluate_scale(
    evaluation: Evaluation,
    group: str,
    models: Mapping[str, Model],
    crops: Sequence[HeldOutCrop],
    low: Tensor,
    truth: Tensor,
    seed: int,
    perceptual: LPIPS | None,
) -> None:
    """Add every row of one scale; `low` and `truth` are in [-1, 1]."""
    size = (truth.shape[-2], truth.shape[-1])
    photographs = [crop.photograph for crop in crops]
    shown_truth, shown_low = as_shown(truth), as_shown(low)
    first = [photographs.index(name) for name in dict.fromkeys(photographs)][:COMPARISONS]
    magnified = resize(low[first], size, "nearest")
    kept = [
        Comparison(photographs[index], {"low resolution": to_array(image)}, {})
        for index, image in zip(first, magnified, strict=True)
    ]
    for row in _rows(models, photographs, low, truth, seed):
        begun = now_seconds(truth.device)
        images = row.draw(size)
        seconds = now_seconds(truth.device) - begun
        if row.seconds is not None:
            evaluation.speeds[group, row.name] = len(crops) / (row.seconds + seconds)
        shown = as_shown(images)
        metrics = compare(shown, shown_truth, perceptual)
        metrics["consistency"] = consistency(shown, shown_low).tolist()
        metrics["self_ssim"] = agreement_with_half_size(shown, row.draw).tolist()
        metrics["grid_energy"] = grid_energy((images + 1) / 2, row.latent_size).tolist()
        evaluation.add(group, row.name, photographs, images, metrics)
        for index, comparison in zip(first, kept, strict=True):
            comparison.pictures[row.name] = to_array(images[index].nan_to_num(0))
            comparison.metrics[row.name] = {name: values[index] for name, values in metrics.items()}
    for index, comparison in zip(first, kept, strict=True):
        comparison.pictures["ground truth"] = to_array(truth[index])
    evaluation.comparisons[group] = kept


def _rows(
    models: Mapping[str, Model], photographs: Sequence[str], low: Tensor, truth: Tensor, seed: int
) -> Iterator[_Row]:
    """The rows one after the other, so that only one model's latents are held."""
    low_size = (low.shape[-2], low.shape[-1])
    yield _Row("bicubic", lambda size: resize(low, size), low_size, 0.0)
    for name, model in models.items():
        begun = now_seconds(model.device)
        latent = _latents(model, low, truth, seed)
        seconds = now_seconds(model.device) - begun
        latent_size = (latent.shape[-2], latent.shape[-1])
        yield _Row(name, _drawing(model, latent, low), latent_size, seconds)
    if shift := shift_to_others(photographs):
        yield _Row("other_latent", _drawing(model, latent.roll(shift, dims=0), low), latent_size, None)


def _latents(model: Model, low: Tensor, truth: Tensor, seed: int) -> Tensor:
    """Latents sampled for the low-resolution images; by an autoencoder alone, encoded from the truth."""
    fine = (low.shape[-2] * model.factor, low.shape[-1] * model.factor)
    if model.task == "reconstruction":
        source = resize(truth, fine).clamp(-1, 1)
        return torch.cat([model.encode(source[part]) for part in batches(len(low), fine)])
    return torch.cat([model.sample_latents(low[part], seed=seed) for part in batches(len(low), fine)])


def _drawing(model: Model, latent: Tensor, low: Tensor) -> Draw:
    """How a model draws its latents, at any size."""

    def draw(size: Size) -> Tensor:
        return torch.cat(
            [
                model.decode(latent[part], size, base=model.base(low[part], size))
                for part in batches(len(latent), size)
            ]
        )

    return draw


def shift_to_others(photographs: Sequence[str]) -> int:
    """The shift of a list that puts another photograph in most places; 0 where there is only one."""

    def moved(shift: int) -> int:
        return sum(photographs[index - shift] != name for index, name in enumerate(photographs))

    return max(range(len(photographs)), key=moved, default=0)
