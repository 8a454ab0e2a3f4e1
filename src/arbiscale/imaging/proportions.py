"""Which of several sizes is a picture's own, by its proportions, and which pictures share one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from arbiscale.imaging.coordinates import Size


def nearest_size(size: Size, sizes: Iterable[Size]) -> Size:
    """That of the sizes (height, width) whose proportions are nearest a picture's, the first of equals.

    Nearest means that the least of the picture is cut off: the ratio of the two proportions is nearest 1.
    """
    own = math.log(size[0] / size[1])
    return min(sizes, key=lambda each: abs(math.log(each[0] / each[1]) - own))


def in_groups(sizes: Iterable[Size], shapes: Collection[Size]) -> list[list[Size]]:
    """Sizes in groups by the shape that is nearest; without shapes one group.

    Pictures of a group may show the same latent: it is not stretched into a shape that has latents of its
    own.
    """
    groups: dict[Size | None, list[Size]] = {}
    for size in sizes:
        groups.setdefault(nearest_size(size, shapes) if shapes else None, []).append(size)
    return [*groups.values()]
