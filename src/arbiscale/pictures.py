"""Small comparison pictures for the curves' page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from arbiscale.pixels import to_array

_COLUMNS = 6


def comparison(rows: Sequence[Tensor]) -> np.ndarray:
    """Rows of images (batch, 3, height, width) in [-1, 1] above each other, uint8 (height, width, 3)."""
    strips = [torch.cat(list(row[:_COLUMNS].detach().cpu()), dim=-1) for row in rows]
    return to_array(torch.cat(strips, dim=-2))
