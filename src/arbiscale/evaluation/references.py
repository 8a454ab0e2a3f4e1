"""The training crops as a set that generated pictures are compared with, at any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.pictures import as_shown
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.proportions import nearest_size
from arbiscale.imaging.resize import resize
from arbiscale.metrics.inception import BATCH, FEATURES, Inception
from arbiscale.progress import LongTask

CropsBySize = Mapping[Size, Sequence[NDArray[np.uint8]]]  # each (height, width, 3)
MOST_CROPS = 50_000  # as many as published tables use; of more crops, an even selection


class References:
    """Features of the training crops, extracted once for every size of pictures.

    Pictures of a size are compared with the crops whose proportions are nearest theirs.

    Args:
        crops: of any number of sizes.
        inception: the features.
    """

    def __init__(self, crops: CropsBySize, inception: Inception) -> None:
        self._crops, self.inception = crops, inception
        self._features: dict[Size, Tensor] = {}

    def count(self, size: Size) -> int:
        """How many crops are taken for pictures of a size."""
        return min(len(self._crops[nearest_size(size, self._crops)]), MOST_CROPS) if self._crops else 0

    @property
    def device(self) -> torch.device:
        """Where features are computed."""
        return next(self.inception.parameters()).device

    def cover(self, size: Size) -> bool:
        """Whether crops can be shrunk to a size; enlarged crops are no reference."""
        height, width = nearest_size(size, self._crops)
        return size[0] <= height and size[1] <= width

    def features(self, size: Size) -> Tensor:
        """Features (crops, 2048), on the CPU, of the crops' middles shrunk to a size that they cover."""
        if size not in self._features:
            count = self.count(size)
            features = torch.empty(count, FEATURES)
            with LongTask(f"training crops at {size[0]}x{size[1]}", count, "crops") as task:
                for start, batch in self._batches(size):
                    features[start : start + len(batch)] = self.inception(batch.to(self.device)).cpu()
                    task.advance(len(batch))
            self._features[size] = features
        return self._features[size]

    def _batches(self, size: Size) -> Iterator[tuple[int, Tensor]]:
        """The first crop's number, and some crops at a size, (batch, 3, *size)."""
        crops = self._crops[nearest_size(size, self._crops)]
        chosen = np.linspace(0, len(crops) - 1, self.count(size)).round().astype(int)
        for start in range(0, len(chosen), BATCH):
            here = chosen[start : start + BATCH]
            yield start, torch.cat([middle(crops[index], size) for index in here])


def middle(crop: NDArray[np.uint8], size: Size) -> Tensor:
    """The largest middle part of a crop with a size's proportions, shrunk to it by PIL's bicubic.

    Args:
        crop: uint8 (height, width, 3).
        size: (height, width).

    Returns:
        Shape (1, 3, *size), in [0, 1], of 8-bit values.
    """
    stretch = min(crop.shape[0] / size[0], crop.shape[1] / size[1])
    height, width = (max(1, round(length * stretch)) for length in size)
    top, left = (crop.shape[0] - height) // 2, (crop.shape[1] - width) // 2
    return as_shown(resize(to_tensor(crop[top : top + height, left : left + width]), size))
