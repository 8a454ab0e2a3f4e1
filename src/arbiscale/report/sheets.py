"""Contact sheets: what every row drew side by side, with its numbers and a magnified detail."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.comparisons import Comparison
from arbiscale.imaging.detail import detail_box
from arbiscale.imaging.sheets import Row, Tile, draw_sheet
from arbiscale.report.measures import label_of

_TRUTH = "ground truth"
_CAPTIONS = {"psnr": "PSNR {:.2f}", "lpips": "LPIPS {:.3f}"}


def draw_contact_sheet(
    title: str, comparisons: Sequence[Comparison], credits: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Draw one row of pictures for every comparison, and under it the same detail of each, magnified.

    The detail is the busiest square of the `ground truth`; where there is none, or the pictures of a
    comparison differ in size, it is left out.

    Args:
        title: above the sheet.
        comparisons: each with its pictures from left to right.
        credits: photographers and licences, at the foot.

    Returns:
        uint8 (height, width, 3).
    """
    return draw_sheet([_row(comparison) for comparison in comparisons], title, credits)


def _row(comparison: Comparison) -> Row:
    pictures = comparison.pictures
    tiles = [
        Tile(pixels, label_of(row), _caption(comparison.metrics.get(row, {})), framed=row == _TRUTH)
        for row, pixels in pictures.items()
    ]
    return Row(comparison.title, tiles, detail_box(pictures.get(_TRUTH), pictures.values()))


def _caption(metrics: Mapping[str, float]) -> str:
    """The numbers under a picture; those without a value are left out."""
    values = {name: metrics.get(name, math.nan) for name in _CAPTIONS}
    return "  ".join(_CAPTIONS[name].format(value) for name, value in values.items() if math.isfinite(value))
