"""A labelled sheet of crops, to look at before training on them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from arbiscale.data.manifest import Crop, HeldOut, Manifest
from arbiscale.imaging.picture_files import read_image
from arbiscale.imaging.sheets import label_font

_COLUMNS = 8
_TILE_PX = 160
_LABEL_PX = 20
_GAP_PX = 8
_FONT_PX = 14
_CREDIT_CHARACTERS = 165

Item = TypeVar("Item")


def draw_preview(folder: Path, manifest: Manifest) -> NDArray[np.uint8]:
    """A sheet with a row of some crops of training, of validation, and of whole test photographs.

    Args:
        folder: the folder of crops.
        manifest: what it holds.

    Returns:
        uint8 (height, width, 3), the photographers named at its foot.
    """
    rows: list[tuple[str, Sequence[Crop | HeldOut]]] = [
        ("train", _some([crop for crop in manifest.crops if crop.split == "train"])),
        ("validation", _some([crop for crop in manifest.crops if crop.split == "validation"])),
        ("test, whole", _some(manifest.photographs)),
    ]
    footer = _credits([shown for _, tiles in rows for shown in tiles], manifest)
    step = _TILE_PX + _GAP_PX
    row_px = _TILE_PX + 2 * _LABEL_PX + _GAP_PX
    height = len(rows) * row_px + len(footer) * _LABEL_PX + _GAP_PX
    sheet = Image.new("RGB", (_COLUMNS * step + _GAP_PX, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = label_font(_FONT_PX)
    for row, (title, tiles) in enumerate(rows):
        top = _GAP_PX + row * row_px
        draw.text((_GAP_PX, top), title, fill="black", font=font)
        for column, shown in enumerate(tiles):
            left = _GAP_PX + column * step
            tile = ImageOps.contain(Image.fromarray(_load(folder, shown)), (_TILE_PX, _TILE_PX))
            sheet.paste(tile, (left, top + _LABEL_PX))
            draw.text((left, top + _LABEL_PX + _TILE_PX), _fit(shown.scene, font), fill="black", font=font)
    for line, text in enumerate(footer):
        top = len(rows) * row_px + line * _LABEL_PX
        draw.text((_GAP_PX, top), text, fill="dimgray", font=font)
    return np.asarray(sheet)


def _some(items: Sequence[Item]) -> list[Item]:
    """As many as a row holds, evenly from the whole list."""
    count = min(len(items), _COLUMNS)
    return [items[index * len(items) // count] for index in range(count)]


def _load(folder: Path, shown: Crop | HeldOut) -> NDArray[np.uint8]:
    if isinstance(shown, HeldOut):
        return read_image(folder / shown.file)
    return np.load(folder / shown.shard, mmap_mode="r")[shown.index]


def _credits(shown: Sequence[Crop | HeldOut], manifest: Manifest) -> list[str]:
    """Lines that name the photographers of what is shown."""
    known = {each.scene: manifest.credits[each.source] for each in shown if each.source in manifest.credits}
    return textwrap.wrap(
        "; ".join(f"{scene}: {credit}" for scene, credit in known.items()), _CREDIT_CHARACTERS
    )


def _fit(label: str, font: ImageFont.FreeTypeFont) -> str:
    """The label, its end left out where it is wider than a tile."""
    if font.getlength(label) <= _TILE_PX:
        return label
    while label and font.getlength(f"{label}...") > _TILE_PX:
        label = label[:-1]
    return f"{label}..."
