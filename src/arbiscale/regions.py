"""Choosing regions of an output."""

from __future__ import annotations

import torch

from arbiscale.coordinates import Region, Size


def random_region(size: Size, side: int) -> Region:
    """A square region of at most `side` pixels, uniform over its places, from the global random state."""
    height, width = min(side, size[0]), min(side, size[1])
    top = int(torch.randint(size[0] - height + 1, ()))
    left = int(torch.randint(size[1] - width + 1, ()))
    return (top, left, height, width)
