"""The protocol `generation`: many pictures drawn from noise, measured as a set at each of several sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.comparisons import PER_ROW
from arbiscale.evaluation.drawn import Drawn, draw, size_name
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.references import References
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.coordinates import Size
from arbiscale.inference.model import Model
from arbiscale.metrics.distributions import (
    LEAST_PICTURES,
    frechet_distance,
    kernel_distance,
    precision_and_recall,
)
from arbiscale.metrics.inception import FEATURES
from arbiscale.metrics.self_similarity import self_similarity
from arbiscale.metrics.spectrum import grid_energy
from arbiscale.progress import LongTask

PROTOCOL = "generation"
METRICS = ("fid", "kid", "precision", "recall")

_NAMES = "fid, kid, precision and recall"


def evaluate_distributions(
    models: Mapping[str, Model],
    training_crops: Sequence[NDArray[np.uint8]],
    sizes: Sequence[Size],
    *,
    count: int,
    seed: int,
    networks: MetricNetworks,
) -> Evaluation:
    """Measure each model's pictures against the training crops, and against themselves at other sizes.

    Pictures are drawn in batches and not kept; the features of each are, 8 KiB per size.

    Args:
        models: of generation, by the names of their rows.
        training_crops: square, uint8 (crop_px, crop_px, 3).
        sizes: (height, width) at which every latent is drawn; the first sets the latents' proportions.
        count: pictures per model.
        seed: of the noise, and of KID's subsets.
        networks: behind metrics.
    """
    evaluation = Evaluation()
    references = References(training_crops, networks.inception) if networks.inception else None
    for row, model in models.items():
        sets = {size: _Sets(references, size, count) for size in sizes} if references else {}
        kept = evaluation.comparisons.setdefault(f"{PROTOCOL}/{row}", [])
        with LongTask(f"{PROTOCOL}: {row}", count, "pictures") as task:
            for drawn in draw(model, sizes, count, seed):
                _add(evaluation, row, drawn)
                for each in sets.values():
                    each.add(drawn)
                few = range(min(len(drawn.names), PER_ROW - len(kept)))
                kept += [drawn.comparison(index) for index in few]
                task.advance(len(drawn.names))
        for size in sizes:
            metrics = sets.pop(size).compare(seed) if size in sets else {}
            evaluation.sets[_group(size), row] = dict.fromkeys(METRICS, math.nan) | metrics
    evaluation.left_out += _limits(references, sizes, count) if references else []
    return evaluation


class _Sets:
    """Generated pictures and training crops of one size, as features."""

    def __init__(self, references: References, size: Size, count: int) -> None:
        self._references, self._size = references, size
        self._comparable = min(count, references.count) >= LEAST_PICTURES and references.cover(size)
        self._generated = torch.empty(count if self._comparable else 0, FEATURES)

    def add(self, drawn: Drawn) -> None:
        """Extract the features of a batch of generated pictures."""
        if self._comparable:
            self._generated[drawn.pictures] = self._references.inception(drawn.shown[self._size]).cpu()

    def compare(self, seed: int) -> dict[str, float]:
        """The metrics of all pictures; none where the sets cannot be compared."""
        if not self._comparable:
            return {}
        generated, reference = self._generated, self._references.features(self._size)
        device = self._references.device
        precision, recall = precision_and_recall(generated.to(device), reference.to(device))
        return {
            "fid": frechet_distance(generated, reference),
            "kid": kernel_distance(generated, reference, seed),
            "precision": precision,
            "recall": recall,
        }


def _limits(references: References, sizes: Sequence[Size], count: int) -> list[str]:
    """One line for everything that cannot be compared, or means little."""
    counts = f"{count:,} generated pictures and {references.count:,} training crops"
    least = min(count, references.count)
    if least < LEAST_PICTURES:
        return [
            f"{PROTOCOL}: {_NAMES} are not measured: they need at least {LEAST_PICTURES} pictures on either "
            f"side (got {counts}); raise evaluate.generation_count"
        ]
    lines = [
        f"{_group(size)}: {_NAMES} are not measured: the training crops are smaller; raise data.crop.size_px"
        for size in sizes
        if not references.cover(size)
    ]
    if least <= FEATURES and len(lines) < len(sizes):
        lines.append(
            f"{PROTOCOL}: fid of {counts} is too high, and comparable at equal numbers only; more than "
            f"{FEATURES:,} on either side fix it"
        )
    return lines


def _add(evaluation: Evaluation, row: str, drawn: Drawn) -> None:
    """Add a batch's pictures at every size, each with its agreement with the other sizes."""
    agreement: dict[Size, list[Tensor]] = {size: [] for size in drawn.images}
    for one, other in combinations(drawn.shown, 2):
        similarity = self_similarity(drawn.shown[one], drawn.shown[other])
        agreement[one].append(similarity)
        agreement[other].append(similarity)
    for size, images in drawn.images.items():
        metrics = {"grid_energy": grid_energy((images + 1) / 2, drawn.latent_size).tolist()}
        if agreement[size]:
            metrics["self_ssim"] = torch.stack(agreement[size]).mean(dim=0).tolist()
        evaluation.add(_group(size), row, drawn.names, images, metrics)
        evaluation.add_time(_group(size), row, len(images), drawn.seconds[size])


def _group(size: Size) -> str:
    return f"{PROTOCOL}/{size_name(size)}"
