"""Many generated pictures as a set, compared with the training crops by their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbiscale.evaluation.networks import in_words
from arbiscale.evaluation.references import References
from arbiscale.imaging.coordinates import Size
from arbiscale.metrics.distributions import (
    LEAST_PICTURES,
    frechet_distance,
    kernel_distance,
    precision_and_recall,
)
from arbiscale.metrics.inception import FEATURES, Inception

METRICS = ("fid", "kid", "precision", "recall")
_NAMES = in_words(METRICS)


class Features:
    """Features of a row's pictures of one size, in files: 8 KiB a picture, kept until all are measured.

    Args:
        folder: of these alone.
        count: of pictures.
        inception: extracts them.
        process: number of the one that writes here; each has its file.
    """

    def __init__(self, folder: Path, count: int, inception: Inception, process: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._count, self._inception = folder, count, inception
        self._file = folder / f"{process:03d}.npy"

    def add(self, numbers: Sequence[int], shown: Tensor) -> None:
        """Extract the features of some pictures (batch, 3, height, width), in [0, 1]."""
        mode = "r+" if self._file.exists() else "w+"
        stored = np.lib.format.open_memmap(self._file, mode, np.float32, (self._count, FEATURES))
        stored[[*numbers]] = self._inception(shown).cpu().numpy()
        stored.flush()

    def read(self) -> Tensor:
        """Features (pictures, 2048), whichever process wrote them."""
        first, *others = (np.load(path) for path in sorted(self._folder.glob("*.npy")))
        for other in others:
            missing = ~first.any(axis=1)
            first[missing] = other[missing]
        return torch.from_numpy(first)


def compare_sets(
    features: Mapping[tuple[str, str], tuple[Size, Features]], references: References, seed: int
) -> dict[tuple[str, str], dict[str, float]]:
    """The metrics of every group's and row's pictures as a set.

    Args:
        features: by group and row, with the pictures' size.
        references: that cover the sizes.
        seed: of KID's subsets.
    """
    found = {}
    for key, (size, own) in features.items():
        generated, reference = own.read(), references.features(size)
        on_device = (each.to(references.device) for each in (generated, reference))
        precision, recall = precision_and_recall(*on_device)
        fid, kid = frechet_distance(generated, reference), kernel_distance(generated, reference, seed)
        found[key] = dict(zip(METRICS, (fid, kid, precision, recall), strict=True))
    return found


def comparable_sizes(references: References, sizes: Sequence[Size], count: int) -> list[Size]:
    """The sizes at which so many pictures can be compared with the training crops."""
    return [
        size
        for size in sizes
        if min(count, references.count(size)) >= LEAST_PICTURES and references.cover(size)
    ]


def limits(references: References, sizes: Mapping[str, Size], count: int) -> list[str]:
    """One line for everything that cannot be compared, or means little; `sizes`: by group."""
    found: dict[str, list[str]] = {}  # groups, by what is to be said of them
    for group, size in sizes.items():
        if limit := _limit(references, size, count):
            found.setdefault(limit, []).append(group)
    return [
        f"{'generation' if len(groups) == len(sizes) else ', '.join(groups)}: {limit}"
        for limit, groups in found.items()
    ]


def _limit(references: References, size: Size, count: int) -> str | None:
    crops = references.count(size)
    counts, least = f"{count:,} generated pictures and {crops:,} training crops", min(count, crops)
    if least < LEAST_PICTURES:
        return (
            f"{_NAMES} are not measured: they need at least {LEAST_PICTURES} pictures on either "
            f"side (got {counts}); raise evaluate.generation_count"
        )
    if not references.cover(size):
        return f"{_NAMES} are not measured: the training crops are smaller; raise data.crop.size_px"
    if least > FEATURES:
        return None
    return (
        f"fid of {counts} is too high, and comparable at equal numbers only; more than "
        f"{FEATURES:,} on either side fix it"
    )
