"""Pictures that are kept to look at: drawn by every row, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.extremes import window
from arbiscale.evaluation.pairs import Pairs
from arbiscale.evaluation.scores import Comparison
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.resize import resize

EXHIBITED_PX = 512  # side of the part that is kept of larger pictures: there are many


class Exhibit:
    """One picture of a batch, or its busiest part."""

    def __init__(self, pairs: Pairs, index: int) -> None:
        """Begin with the low resolution, each of its pixels a square.

        Args:
            pairs: the batch.
            index: of the picture in it.
        """
        truth = pairs.truth[index]
        self._index = index
        self._box = window(to_array(truth), EXHIBITED_PX)
        self._truth = self._part(truth)
        low = resize(pairs.low[[index]], (truth.shape[-2], truth.shape[-1]), "nearest")[0]
        self._comparison = Comparison(pairs.photographs[index], {"low resolution": self._part(low)}, {})

    def add(self, row: str, images: Tensor, metrics: Mapping[str, Sequence[float]]) -> None:
        """Take what a row drew of the batch, (batch, 3, height, width) in [-1, 1], and its metrics."""
        self._comparison.pictures[row] = self._part(images[self._index].nan_to_num(0))
        self._comparison.metrics[row] = {name: values[self._index] for name, values in metrics.items()}

    def finished(self) -> Comparison:
        """All that was added, and the truth behind it."""
        self._comparison.pictures["ground truth"] = self._truth
        return self._comparison

    def _part(self, image: Tensor) -> NDArray[np.uint8]:
        left, top, right, bottom = self._box
        return to_array(image[:, top:bottom, left:right])
