"""Which parts of the test photographs are evaluated: the `sample` and `crops` protocols."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.pixels import to_tensor


@dataclass(frozen=True)
class HeldOutCrop:
    """A square part of a held-out photograph, or a whole one: uint8 (height, width, 3)."""

    photograph: str
    pixels: NDArray[np.uint8]


def cut_held_out_crops(
    photographs: Mapping[str, NDArray[np.uint8]], crop_px: int, per_photograph: int
) -> list[HeldOutCrop]:
    """Cut crops spread evenly over each photograph, photograph by photograph.

    A photograph is divided into about square cells, and the crops lie in the middles of cells. The same
    photographs give the same crops. Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    crops = []
    for name, pixels in photographs.items():
        height, width = pixels.shape[:2]
        if min(height, width) < crop_px:
            continue
        for top, left in _corners(height, width, crop_px, per_photograph):
            crops.append(HeldOutCrop(name, pixels[top : top + crop_px, left : left + crop_px]))
    if not crops:
        raise UserError(
            f"evaluate.crop_px: none of {len(photographs)} test photographs is {crop_px} px wide and high; "
            "lower it, or name larger ones in data.split.test"
        )
    return crops


def cut_random_crops(
    photographs: Mapping[str, NDArray[np.uint8]], crop_px: int, per_photograph: int, seed: int
) -> list[HeldOutCrop]:
    """Cut crops at places drawn at random, the same for the same seed and photograph.

    Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    crops = []
    for name, pixels in photographs.items():
        spare = np.array(pixels.shape[:2]) - crop_px
        if spare.min() < 0:
            continue
        draws = np.random.default_rng([seed, *name.encode()])
        for top, left in draws.integers(spare + 1, size=(per_photograph, 2)):
            crops.append(HeldOutCrop(name, pixels[top : top + crop_px, left : left + crop_px]))
    if not crops:
        raise UserError(
            f"evaluate.protocols: crops: none of {len(photographs)} test photographs is {crop_px} px wide "
            "and high; name larger ones in data.split.test"
        )
    return crops


def stack(crops: list[HeldOutCrop]) -> Tensor:
    """The crops as one tensor (crops, 3, crop_px, crop_px) in [-1, 1]."""
    return torch.cat([to_tensor(crop.pixels) for crop in crops])


def _corners(height: int, width: int, crop_px: int, count: int) -> list[tuple[int, int]]:
    """(top, left) of `count` crops, in reading order."""
    columns = max(1, min(count, round(math.sqrt(count * width / height))))
    rows = math.ceil(count / columns)
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    chosen = [cells[index * len(cells) // count] for index in range(count)]
    return [
        (_start(row, rows, height, crop_px), _start(column, columns, width, crop_px))
        for row, column in chosen
    ]


def _start(cell: int, cells: int, length: int, crop_px: int) -> int:
    """Where a crop in the middle of a cell starts, moved inside the photograph."""
    return min(max(round((cell + 0.5) * length / cells - crop_px / 2), 0), length - crop_px)
