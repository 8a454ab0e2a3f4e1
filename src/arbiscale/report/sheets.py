"""Labelled sheets of pictures side by side, with their numbers and a magnified detail of each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from arbiscale.evaluation.scores import Comparison
from arbiscale.imaging.detail import Box, detail_box
from arbiscale.imaging.sheets import label_font

_TILE_PX = 320  # larger pictures are shrunk to this; their details are not
_LEAST_COLUMN_PX = 150  # so that captions fit
_GAP_PX = 10
_TITLE_PX, _LABEL_PX, _CAPTION_PX = 24, 17, 15  # font sizes
_LINE = 1.4  # line height / font size
_FRAME = (255, 140, 0)

_CAPTIONS = {"psnr": "PSNR {:.2f}", "lpips": "LPIPS {:.3f}"}


def draw_contact_sheet(
    title: str, comparisons: Sequence[Comparison], credits: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Draw one line of pictures for every comparison, and under it the same detail of each, magnified.

    The detail is the busiest square of the `ground truth`; where there is none, or the pictures of a
    comparison differ in size, it is left out.

    Args:
        title: above the sheet.
        comparisons: each with its pictures from left to right.
        credits: whom to name at the foot.

    Returns:
        uint8 (height, width, 3).
    """
    strips = [_strip(comparison) for comparison in comparisons]
    header = _text_block([title], _TITLE_PX, "black")
    width = max(strip.width for strip in [header, *strips])
    footer = [_text_block(_wrapped("; ".join(credits), width), _CAPTION_PX, "dimgray")] if credits else []
    sheet = ImageOps.expand(_stacked([header, *strips, *footer]), _GAP_PX, "white")
    return np.asarray(sheet)


def _strip(comparison: Comparison) -> Image.Image:
    """The pictures of one comparison under their labels, and their details."""
    box = detail_box(comparison.pictures.get("ground truth"), comparison.pictures.values())
    columns = []
    for label, pixels in comparison.pictures.items():
        picture = Image.fromarray(pixels)
        tiles = [_framed(picture, box if label == "ground truth" else None)]
        if box:
            detail = picture.crop(box)
            magnification = max(1, min(_TILE_PX, *picture.size) // detail.width)
            tiles.append(ImageOps.scale(detail, magnification, Image.Resampling.NEAREST))
        caption = _caption(comparison.metrics.get(label, {}))
        columns.append(
            _stacked(
                [
                    _text_block([label.replace("_", " ")], _LABEL_PX, "black"),
                    *tiles,
                    _text_block([caption], _CAPTION_PX, "black"),
                ],
                gap_px=4,
            )
        )
    height = max(column.height for column in columns)
    widths = [max(column.width, _LEAST_COLUMN_PX) + _GAP_PX for column in columns]
    line = Image.new("RGB", (sum(widths), height), "white")
    for index, column in enumerate(columns):
        line.paste(column, (sum(widths[:index]), 0))
    return _stacked([_text_block([comparison.title], _LABEL_PX, "dimgray"), line], gap_px=0)


def _framed(picture: Image.Image, box: Box | None) -> Image.Image:
    """The picture at its place in a column, the detail outlined."""
    shown = picture.copy()
    if box:
        left, top, right, bottom = box
        ImageDraw.Draw(shown).rectangle((left, top, right - 1, bottom - 1), outline=_FRAME, width=2)
    if max(shown.size) > _TILE_PX:
        return ImageOps.contain(shown, (_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
    return shown


def _caption(metrics: dict[str, float]) -> str:
    """The numbers under a picture; those without a value are left out."""
    return "  ".join(
        text.format(metrics[name])
        for name, text in _CAPTIONS.items()
        if math.isfinite(metrics.get(name, math.nan))
    )


def _text_block(lines: Sequence[str], font_px: int, colour: str) -> Image.Image:
    """Lines of text on white, as wide as they need."""
    font = label_font(font_px)
    line_px = round(font_px * _LINE)
    width = max((math.ceil(font.getlength(line)) for line in lines), default=0)
    block = Image.new("RGB", (max(width, 1), line_px * max(len(lines), 1)), "white")
    draw = ImageDraw.Draw(block)
    for index, line in enumerate(lines):
        draw.text((0, index * line_px), line, fill=colour, font=font)
    return block


def _wrapped(text: str, width_px: int) -> list[str]:
    """The text in lines of about this width."""
    per_character = label_font(_CAPTION_PX).getlength("abcdefghij") / 10
    return textwrap.wrap(text, max(20, int(width_px / per_character)))


def _stacked(parts: Sequence[Image.Image], gap_px: int = _GAP_PX) -> Image.Image:
    """Images above each other on white, with a gap around where it is the sheet's."""
    width = max(part.width for part in parts)
    height = sum(part.height for part in parts) + gap_px * (len(parts) - 1)
    stack = Image.new("RGB", (width, height), "white")
    top = 0
    for part in parts:
        stack.paste(part, (0, top))
        top += part.height + gap_px
    return stack
