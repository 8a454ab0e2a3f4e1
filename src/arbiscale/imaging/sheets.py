"""Sheets of pictures: labels, tiles, and small comparisons for the curves' page."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ImageFont
from torch import Tensor

from arbiscale.imaging.pixels import to_array


def label_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships: unlike Pillow's own font it knows more than ASCII."""
    spec = importlib.util.find_spec("matplotlib")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    return ImageFont.truetype(Path(package, "mpl-data/fonts/ttf/DejaVuSans.ttf"), size_px)


_COLUMNS = 6


def comparison(rows: Sequence[Tensor]) -> np.ndarray:
    """Rows of images (batch, 3, height, width) in [-1, 1] above each other, uint8 (height, width, 3)."""
    strips = [torch.cat(list(row[:_COLUMNS].detach().cpu()), dim=-1) for row in rows]
    return to_array(torch.cat(strips, dim=-2))
