"""Of which shape a photograph's crops are, where they lie in it, and how one is cut."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import CropSettings
from arbiscale.config.sizes import Size
from arbiscale.data.manifest import Box, Photograph
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.proportions import nearest_size
from arbiscale.imaging.resize import resize


def crop_size(width: int, height: int, settings: CropSettings) -> Size | None:
    """(height, width) of a photograph's crops: of those it holds, the one of the nearest proportions.

    None where it holds none.
    """
    held = [each for each in settings.sizes if each[0] <= height and each[1] <= width]
    return nearest_size((height, width), held) if held else None


def crop_boxes(width: int, height: int, settings: CropSettings, *, seed: int, name: str) -> list[Box]:
    """Distinct boxes of one shape inside a photograph, `settings.per_photograph` at most.

    Random ones lie anywhere, also over one another; those of a grid do not overlap and spread from edge to
    edge. Both depend on (seed, name) only. `centre` is the largest one in the middle, to be shrunk to a
    crop. Empty where the photograph is smaller than a crop.
    """
    size = crop_size(width, height, settings)
    if size is None:
        return []
    rows, columns = size
    if settings.mode == "centre":
        return [_middle(width, height, size)]
    entropy = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(entropy))
    if settings.mode == "grid":
        lefts, tops = _spread(width, columns), _spread(height, rows)
    else:
        lefts, tops = np.arange(width - columns + 1), np.arange(height - rows + 1)
    places = len(lefts) * len(tops)
    chosen = generator.choice(places, size=min(places, settings.per_photograph), replace=False)
    if settings.mode == "grid":
        chosen.sort()
    corners = [(int(lefts[place % len(lefts)]), int(tops[place // len(lefts)])) for place in chosen]
    return [(left, top, left + columns, top + rows) for left, top in corners]


def _middle(width: int, height: int, size: Size) -> Box:
    """The largest box of a size's proportions in the middle, as far as whole pixels allow."""
    stretch = min(height / size[0], width / size[1])
    rows, columns = min(height, round(size[0] * stretch)), min(width, round(size[1] * stretch))
    left, top = (width - columns) // 2, (height - rows) // 2
    return (left, top, left + columns, top + rows)


def _spread(length: int, side: int) -> np.ndarray:
    """Starts of as many crops as fit side by side, the gaps between them even; a single one is centred."""
    count = length // side
    if count == 1:
        return np.array([(length - side) // 2])
    return np.linspace(0, length - side, count).round().astype(int)


def count_boxes(photograph: Photograph, settings: CropSettings) -> int:
    """How many boxes `crop_boxes` gives, without drawing them."""
    width, height = photograph.width, photograph.height
    size = crop_size(width, height, settings)
    if size is None:
        return 0
    places = {
        "centre": 1,
        "grid": (width // size[1]) * (height // size[0]),
        "random": (width - size[1] + 1) * (height - size[0] + 1),
    }
    return min(settings.per_photograph, places[settings.mode])


def box_size(box: Box) -> Size:
    """(height, width)."""
    left, top, right, bottom = box
    return (bottom - top, right - left)


def cut(pixels: NDArray[np.uint8], box: Box, size: Size) -> NDArray[np.uint8]:
    """A copied part of pixels (height, width, 3), shrunk by PIL's bicubic where its box is above the size."""
    left, top, right, bottom = box
    crop = pixels[top:bottom, left:right]
    if box_size(box) == size:
        return crop.copy()
    shrunk: NDArray[np.uint8] = to_array(resize(to_tensor(crop), size)).astype(np.uint8)
    return shrunk
