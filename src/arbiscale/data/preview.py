"""A labelled sheet of crops, to look at before training on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from arbiscale.data.manifest import Crop, HeldOut, Manifest
from arbiscale.data.shards import read_crop
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.sheets import Row, Tile, draw_sheet, shortened

_COLUMNS = 8
_TILE_PX = 160

Item = TypeVar("Item")


def draw_preview(folder: Path, manifest: Manifest) -> NDArray[np.uint8]:
    """A sheet with a row of some crops of training, of validation, and of whole test photographs.

    Args:
        folder: the folder of crops.
        manifest: what it holds.

    Returns:
        uint8 (height, width, 3), the photographers named at its foot.
    """
    places: dict[str, list[int]] = {"train": [], "validation": []}
    for place, crop in enumerate(manifest.crops):
        places[crop.split].append(place)
    parts: dict[str, Sequence[Crop | HeldOut]] = {
        split: [manifest.crops[place] for place in _some(own)] for split, own in places.items()
    }
    parts["test, whole"] = _some(manifest.photographs)
    shown = [each for part in parts.values() for each in part]
    credits = {each.scene: manifest.credits[each.source] for each in shown if each.source in manifest.credits}
    return draw_sheet(
        [Row(title, [_tile(folder, each) for each in part]) for title, part in parts.items()],
        credits=[f"{scene}: {credit}" for scene, credit in credits.items()],
    )


def _tile(folder: Path, shown: Crop | HeldOut) -> Tile:
    """A crop or photograph in a square of equal size, its scene below it."""
    picture = ImageOps.contain(Image.fromarray(_load(folder, shown)), (_TILE_PX, _TILE_PX))
    square = Image.new("RGB", (_TILE_PX, _TILE_PX), "white")
    square.paste(picture)
    return Tile(np.asarray(square), caption=shortened(shown.scene, _TILE_PX))


def _some(items: Sequence[Item]) -> list[Item]:
    """As many as a row holds, evenly from the whole list."""
    count = min(len(items), _COLUMNS)
    return [items[index * len(items) // count] for index in range(count)]


def _load(folder: Path, shown: Crop | HeldOut) -> NDArray[np.uint8]:
    if isinstance(shown, HeldOut):
        return read_image(folder / shown.file)
    return read_crop(folder / shown.shard, shown.index)
