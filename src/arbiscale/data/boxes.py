"""Where the crops of one photograph lie."""

from __future__ import annotations

import hashlib

import numpy as np

from arbiscale.config.data import CropSettings
from arbiscale.data.manifest import Box


def crop_boxes(width: int, height: int, settings: CropSettings, *, seed: int, name: str) -> list[Box]:
    """Distinct square boxes inside a photograph, `settings.per_photograph` at most.

    Random ones lie anywhere, also over one another; those of a grid do not overlap and spread from edge to
    edge. Both depend on (seed, name) only. Empty where the photograph is smaller than a crop.
    """
    size = settings.size_px
    if width < size or height < size:
        return []
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
