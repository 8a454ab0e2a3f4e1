"""Where crops lie in a photograph, and how one is cut."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import CropSettings
from arbiscale.data.manifest import Box, Photograph
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize


def crop_boxes(width: int, height: int, settings: CropSettings, *, seed: int, name: str) -> list[Box]:
    """Distinct square boxes inside a photograph, `settings.per_photograph` at most.

    Random ones lie anywhere, also over one another; those of a grid do not overlap and spread from edge to
    edge. Both depend on (seed, name) only. `centre` is the largest one in the middle, to be shrunk to a
    crop. Empty where the photograph is smaller than a crop.
    """
    size = settings.size_px
    if width < size or height < size:
        return []
    if settings.mode == "centre":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return [(left, top, left + side, top + side)]
    entropy = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(entropy))
    if settings.mode == "grid":
        lefts, tops = _spread(width, size), _spread(height, size)
    else:
        lefts, tops = np.arange(width - size + 1), np.arange(height - size + 1)
    places = len(lefts) * len(tops)
    chosen = generator.choice(places, size=min(places, settings.per_photograph), replace=False)
    if settings.mode == "grid":
        chosen.sort()
    corners = [(int(lefts[place % len(lefts)]), int(tops[place // len(lefts)])) for place in chosen]
    return [(left, top, left + size, top + size) for left, top in corners]


def _spread(length: int, size: int) -> np.ndarray:
    """Starts of as many crops as fit side by side, the gaps between them even; a single one is centred."""
    count = length // size
    if count == 1:
        return np.array([(length - size) // 2])
    return np.linspace(0, length - size, count).round().astype(int)


def count_boxes(photograph: Photograph, settings: CropSettings) -> int:
    """How many boxes `crop_boxes` gives, without drawing them."""
    width, height, size = photograph.width, photograph.height, settings.size_px
    places = {
        "centre": 1,
        "grid": (width // size) * (height // size),
        "random": (width - size + 1) * (height - size + 1),
    }
    return min(settings.per_photograph, places[settings.mode])


def cut(pixels: NDArray[np.uint8], box: Box, side_px: int) -> NDArray[np.uint8]:
    """A copied part of pixels (height, width, 3), shrunk by PIL's bicubic where its box is larger."""
    left, top, right, bottom = box
    crop = pixels[top:bottom, left:right]
    if right - left == side_px:
        return crop.copy()
    shrunk: NDArray[np.uint8] = to_array(resize(to_tensor(crop), (side_px, side_px))).astype(np.uint8)
    return shrunk
