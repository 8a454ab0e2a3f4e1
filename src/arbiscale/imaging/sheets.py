"""Sheets of pictures: rows of labelled pictures with details and credits, and plain rows of images."""

from __future__ import annotations

import importlib.util
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from arbiscale.imaging.detail import Box
from arbiscale.imaging.pixels import to_array

_COLUMNS = 6  # of plain rows
_TILE_PX = 320  # larger pictures are shrunk to this; their details are not
_LEAST_COLUMN_PX = 150  # so that captions fit
_GAP_PX = 10
_TITLE_PX, _LABEL_PX, _CAPTION_PX = 24, 17, 15  # font sizes
_LINE = 1.4  # line height / font size
_FRAME = (255, 140, 0)


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 (height, width, 3), below its label, above its caption; `framed`: with its detail."""

    pixels: NDArray[np.uint8]
    label: str = ""
    caption: str = ""
    framed: bool = False


@dataclass(frozen=True)
class Row:
    """Pictures side by side under a title; `detail`: the part of each that is magnified below it."""

    title: str
    tiles: Sequence[Tile]
    detail: Box | None = None


def label_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships: unlike Pillow's own font it has more than ASCII."""
    spec = importlib.util.find_spec("matplotlib")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    return ImageFont.truetype(Path(package, "mpl-data/fonts/ttf/DejaVuSans.ttf"), size_px)


def comparison(rows: Sequence[Tensor]) -> NDArray[np.uint8]:
    """Rows of images (batch, 3, height, width) in [-1, 1] above each other, uint8 (height, width, 3)."""
    strips = [torch.cat(list(row[:_COLUMNS].detach().cpu()), dim=-1) for row in rows]
    return to_array(torch.cat(strips, dim=-2))


def draw_sheet(rows: Sequence[Row], title: str = "", credits: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Draw rows of pictures above each other on white, uint8 (height, width, 3).

    Args:
        rows: at least one; rows without pictures show their title.
        title: above the sheet; empty = none.
        credits: photographers and licences, at the foot.
    """
    parts = [_text([title], _TITLE_PX, "black")] if title else []
    parts += [_row(row) for row in rows]
    if credits:
        character_px = label_font(_CAPTION_PX).getlength("abcdefghij") / 10
        characters = max(20, int(max(part.width for part in parts) / character_px))
        parts.append(_text(textwrap.wrap("; ".join(credits), characters), _CAPTION_PX, "dimgray"))
    return np.asarray(ImageOps.expand(_stacked(parts, _GAP_PX), _GAP_PX, "white"))


def shortened(caption: str, width_px: int) -> str:
    """The caption, its end left out where it is wider than this."""
    caption = _printable(caption)
    font, text = label_font(_CAPTION_PX), caption
    while caption and font.getlength(text) > width_px:
        caption = caption[:-1]
        text = f"{caption}..."
    return text


def _printable(text: str) -> str:
    """A text without line breaks, and without bytes of names that are no text."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _row(row: Row) -> Image.Image:
    columns = [_column(tile, row.detail) for tile in row.tiles]
    widths = [max(column.width, _LEAST_COLUMN_PX) + _GAP_PX for column in columns]
    line = Image.new("RGB", (sum(widths), max((column.height for column in columns), default=0)), "white")
    for index, column in enumerate(columns):
        line.paste(column, (sum(widths[:index]), 0))
    return _stacked([_text([row.title], _LABEL_PX, "dimgray"), line], 0)


def _column(tile: Tile, box: Box | None) -> Image.Image:
    """A picture between its label and its caption, with its detail."""
    picture = Image.fromarray(tile.pixels)
    shown = picture.copy()
    if box and tile.framed:
        left, top, right, bottom = box
        ImageDraw.Draw(shown).rectangle((left, top, right - 1, bottom - 1), outline=_FRAME, width=2)
    if max(shown.size) > _TILE_PX:
        shown = ImageOps.contain(shown, (_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
    parts = [_text([tile.label], _LABEL_PX, "black"), shown] if tile.label else [shown]
    if box:
        detail = picture.crop(box)
        magnification = max(1, min(_TILE_PX, *picture.size) // detail.width)
        parts.append(ImageOps.scale(detail, magnification, Image.Resampling.NEAREST))
    return _stacked([*parts, _text([tile.caption], _CAPTION_PX, "black")], 4)


def _text(lines: Sequence[str], font_px: int, colour: str) -> Image.Image:
    """Lines of text on white, as wide as they need."""
    font, lines = label_font(font_px), [_printable(line) for line in lines]
    line_px = round(font_px * _LINE)
    width = max((math.ceil(font.getlength(line)) for line in lines), default=0)
    block = Image.new("RGB", (max(width, 1), line_px * max(len(lines), 1)), "white")
    draw = ImageDraw.Draw(block)
    for index, line in enumerate(lines):
        draw.text((0, index * line_px), line, fill=colour, font=font)
    return block


def _stacked(parts: Sequence[Image.Image], gap_px: int) -> Image.Image:
    """Pictures above each other on white."""
    width = max(part.width for part in parts)
    stack = Image.new("RGB", (width, sum(part.height + gap_px for part in parts) - gap_px), "white")
    top = 0
    for part in parts:
        stack.paste(part, (0, top))
        top += part.height + gap_px
    return stack
