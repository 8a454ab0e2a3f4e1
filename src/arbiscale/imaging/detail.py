"""The part of a picture that is worth a closer look."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

DETAIL_FRACTION = 4  # of a picture's shorter side

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom lie outside


def detail_box(truth: NDArray[np.uint8] | None, others: Iterable[NDArray[np.uint8]]) -> Box | None:
    """The busiest square of a picture (height, width, 3), a quarter of its shorter side wide.

    None where there is no such picture, or one that is compared with it differs in size.
    """
    if truth is None or any(pixels.shape != truth.shape for pixels in others):
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
