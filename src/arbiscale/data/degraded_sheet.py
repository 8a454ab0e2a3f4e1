"""A sheet of low-resolution pictures, clean and degraded, to look at before training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.data.dataset import CropDataset
from arbiscale.data.degradation import Degradation
from arbiscale.data.manifest import read_manifest
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.resize import resize, shrink_to
from arbiscale.imaging.sheets import Row, Tile, draw_sheet

_CROPS, _SAMPLES = 3, 4
_TILE_PX = 256


def draw_degraded(crops: Path, factor: int, degradation: Degradation) -> NDArray[np.uint8]:
    """A row of every one of some training crops: clean, then as several samples show it.

    Args:
        crops: the folder of crops.
        factor: HR crop / LR crop.
        degradation: of the samples.

    Returns:
        uint8 (height, width, 3); each low-resolution pixel is a square.

    Raises:
        UserError: there are no training crops.
    """
    manifest = read_manifest(crops)
    dataset = CropDataset(crops, "train", None, seed=0, manifest=manifest)
    rows = []
    for number in range(_CROPS):
        fine = dataset[number][None]
        size = (fine.shape[-2] // factor, fine.shape[-1] // factor)
        samples = [f"sheet/{number}/{sample}" for sample in range(_SAMPLES)]
        low = degradation(fine.expand(_SAMPLES, -1, -1, -1), size, samples)
        clean = Tile(_enlarged(shrink_to(fine, size)), "bicubic")
        rows.append(Row("", [clean, *(Tile(_enlarged(each[None]), "realistic") for each in low)]))
    return draw_sheet(rows, "Low-resolution pictures", [*dict.fromkeys(manifest.credits.values())])


def _enlarged(low: Tensor) -> NDArray[np.uint8]:
    times = max(1, _TILE_PX // low.shape[-1])
    return to_array(resize(low, (low.shape[-2] * times, low.shape[-1] * times), "nearest"))
