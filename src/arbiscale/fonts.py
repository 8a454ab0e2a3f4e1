"""The font of labels drawn into pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from PIL import ImageFont


def label_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships: unlike Pillow's own font it knows more than ASCII."""
    spec = importlib.util.find_spec("matplotlib")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    return ImageFont.truetype(Path(package, "mpl-data/fonts/ttf/DejaVuSans.ttf"), size_px)
