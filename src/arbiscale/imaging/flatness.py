"""Where a picture is flat: of one colour all around."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_REACH_PX = 2  # to every side
_LEVEL = 1 / 255  # half a level of 8 bits
_ROWS = 512  # examined at once


def flat_areas(image: Tensor) -> Tensor | None:
    """1 where nothing differs within 2 px, else 0: float16 (1, 1, height, width); None = nowhere.

    Args:
        image: shape (1, channels, height, width), in [-1, 1].
    """
    height = image.shape[-2]
    parts = []
    for top in range(0, height, _ROWS):
        first, stop = max(top - _REACH_PX, 0), min(top + _ROWS, height)
        rows = image[..., first : stop + _REACH_PX, :]
        brightest, darkest = _highest(rows), -_highest(-rows)
        flat = ((brightest - darkest) < _LEVEL).all(1, keepdim=True)
        parts.append(flat[..., top - first : top - first + stop - top, :])
    areas = torch.cat(parts, dim=-2)
    return areas.half() if areas.any() else None


def _highest(rows: Tensor) -> Tensor:
    return functional.max_pool2d(rows, 2 * _REACH_PX + 1, 1, _REACH_PX)
