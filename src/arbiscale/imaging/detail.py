"""The part of a picture that is worth a closer look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from arbiscale.evaluation.scores import Comparison

DETAIL_FRACTION = 4  # of a picture's shorter side

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom lie outside


def detail_box(comparison: Comparison) -> Box | None:
    """The busiest square of the `ground truth`, a quarter of its shorter side wide.

    None where there is no truth, or the pictures of the comparison differ in size.
    """
    truth = comparison.pictures.get("ground truth")
    if truth is None or any(pixels.shape != truth.shape for pixels in comparison.pictures.values()):
        return None
    side_px = min(truth.shape[:2]) // DETAIL_FRACTION
    return busiest_square(truth, side_px) if side_px else None


def busiest_square(pixels: NDArray[np.uint8], side_px: int) -> Box:
    """The square with the strongest gradients of a picture (height, width, 3), no smaller than it."""
    grey = pixels.mean(axis=2)
    gradient = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(
        np.diff(grey, axis=1, append=grey[:, -1:])
    )
    sums = np.pad(gradient, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    energy = (
        sums[side_px:, side_px:]
        - sums[:-side_px, side_px:]
        - sums[side_px:, :-side_px]
        + sums[:-side_px, :-side_px]
    )
    top, left = (int(index) for index in np.unravel_index(energy.argmax(), energy.shape))
    return left, top, left + side_px, top + side_px
