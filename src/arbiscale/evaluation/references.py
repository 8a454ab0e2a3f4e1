"""The training crops as a set that generated pictures are compared with, at any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.pictures import as_shown
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.resize import resize
from arbiscale.metrics.inception import BATCH, FEATURES, Inception
from arbiscale.progress import LongTask

MOST_CROPS = 50_000  # as many as published tables use; of more crops, an even selection


class References:
    """Features of the training crops, extracted once for every size.

    Args:
        crops: square, uint8 (crop_px, crop_px, 3).
        inception: the features.
    """

    def __init__(self, crops: Sequence[NDArray[np.uint8]], inception: Inception) -> None:
        self._crops, self.inception = crops, inception
        self._features: dict[Size, Tensor] = {}

    @property
    def count(self) -> int:
        """How many crops are taken."""
        return min(len(self._crops), MOST_CROPS)

    @property
    def device(self) -> torch.device:
        """Where features are computed."""
        return next(self.inception.parameters()).device

    def cover(self, size: Size) -> bool:
        """Whether crops can be shrunk to a size; enlarged crops are no reference."""
        return max(size) <= self._crops[0].shape[0]

    def features(self, size: Size) -> Tensor:
        """Features (crops, 2048), on the CPU, of the crops' middles shrunk to a size that they cover."""
        if size not in self._features:
            features = torch.empty(self.count, FEATURES)
            with LongTask(f"training crops at {size[0]}x{size[1]}", self.count, "crops") as task:
                for start, batch in self._batches(size):
                    features[start : start + len(batch)] = self.inception(batch.to(self.device)).cpu()
                    task.advance(len(batch))
            self._features[size] = features
        return self._features[size]

    def _batches(self, size: Size) -> Iterator[tuple[int, Tensor]]:
        """The first crop's number, and some crops at a size, (batch, 3, *size)."""
        chosen = np.linspace(0, len(self._crops) - 1, self.count).round().astype(int)
        for start in range(0, len(chosen), BATCH):
            here = chosen[start : start + BATCH]
            yield start, torch.cat([middle(self._crops[index], size) for index in here])


def middle(crop: NDArray[np.uint8], size: Size) -> Tensor:
    """The largest middle part of a square crop with a size's proportions, shrunk to it by PIL's bicubic.

    Args:
        crop: uint8 (crop_px, crop_px, 3).
        size: (height, width).

    Returns:
        Shape (1, 3, *size), in [0, 1], of 8-bit values.
    """
    side = crop.shape[0]
    height, width = (max(1, round(side * length / max(size))) for length in size)
    top, left = (side - height) // 2, (side - width) // 2
    return as_shown(resize(to_tensor(crop[top : top + height, left : left + width]), size))
