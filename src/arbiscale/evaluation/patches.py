"""Patches of few pictures as a set, compared with the truth's: FID and KID of small data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbiscale.evaluation.comparisons import TRUTH
from arbiscale.evaluation.networks import in_words
from arbiscale.files import atomic_file
from arbiscale.metrics.distributions import LEAST_PICTURES, frechet_distance, kernel_distance
from arbiscale.metrics.inception import FEATURES, Inception

METRICS = ("patch_fid", "patch_kid")
Compared = dict[tuple[str, str], dict[str, float]]  # metrics by group and row


class Patches:
    """Features of the patches of all rows' pictures and of the truth, in files: one a picture, 8 KiB a patch.

    Args:
        folder: of these alone; several processes may write into it.
        side_px: of a patch.
        inception: extracts the features.
        seed: of KID's subsets.
    """

    def __init__(self, folder: Path, side_px: int, inception: Inception, seed: int) -> None:
        self._folder, self._side_px, self._inception, self._seed = folder, side_px, inception, seed

    def add(self, group: str, row: str, names: Sequence[str], shown: Tensor) -> None:
        """Extract the features of some pictures (batch, 3, height, width), in [0, 1]."""
        for name, picture in zip(names, shown, strict=True):
            if patches := [*cut(picture, self._side_px)]:
                file = self._file(group, row, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(file) as temporary, temporary.open("wb") as stream:
                    np.save(stream, self._inception(torch.stack(patches)).cpu().numpy())

    def compare(self, group: str, rows: Iterable[str], names: Sequence[str]) -> tuple[Compared, list[str]]:
        """The metrics of a group's rows, and one line for what cannot be measured, or means little.

        A row that lacks a picture has none.
        """
        held = [name for name in names if self._file(group, TRUTH, name).exists()]
        reference = self._read(group, TRUTH, held)
        count = len(reference)
        if count < LEAST_PICTURES:
            return {}, [
                f"{group}: {in_words(METRICS)} are not measured: they need at least {LEAST_PICTURES} patches "
                f"of {self._side_px} px (got {count}); lower evaluate.patch_fid_px"
            ]
        found: Compared = {}
        for row in rows:
            if all(self._file(group, row, name).exists() for name in held):
                pair = self._read(group, row, held), reference
                values = frechet_distance(*pair), kernel_distance(*pair, self._seed)
                found[group, row] = dict(zip(METRICS, values, strict=True))
        lines = [
            f"{group}: patch_fid of {count:,} patches is too high, and comparable at equal numbers only; "
            f"more than {FEATURES:,} fix it (a smaller evaluate.patch_fid_px, more pictures)"
        ]
        return found, lines if count <= FEATURES else []

    def _read(self, group: str, row: str, names: Sequence[str]) -> Tensor:
        """Features (patches, 2048) of some pictures."""
        arrays = [np.load(self._file(group, row, name)) for name in names]
        return torch.from_numpy(np.concatenate(arrays)) if arrays else torch.empty(0, FEATURES)

    def _file(self, group: str, row: str, name: str) -> Path:
        return self._folder / group / row / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npy"


def cut(picture: Tensor, side_px: int) -> Iterator[Tensor]:
    """Patches side by side from the top left, then as many as fit half a side further (arXiv 2006.09965).

    Args:
        picture: shape (channels, height, width).
        side_px: of a patch.
    """
    for start in (0, side_px // 2):
        rows, columns = (range(start, length - side_px + 1, side_px) for length in picture.shape[-2:])
        for top in rows:
            for left in columns:
                yield picture[:, top : top + side_px, left : left + side_px]
