"""Where names stand in a chart: near what they name, and not on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

_DISTANCE_PX = 9  # of a name from its point
_SHIFTS_PX = sorted(range(-72, 73, 3), key=abs)  # up or down, the least first

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Place:
    """Where a name begins, at half its height; it runs on to the right (side 1) or to the left (-1)."""

    x_px: float
    y_px: float
    side: int


def spread(wanted_px: Sequence[float], gap_px: float, low_px: float, high_px: float) -> list[float]:
    """Places near the wanted ones, in their order, at least a gap apart and within bounds where they fit."""
    order = sorted(range(len(wanted_px)), key=lambda index: (wanted_px[index], index))
    placed = [min(max(wanted_px[index], low_px), high_px) for index in order]
    for here in range(1, len(placed)):
        placed[here] = max(placed[here], placed[here - 1] + gap_px)
    if placed and placed[-1] > high_px:
        placed[-1] = max(high_px, low_px + gap_px * (len(placed) - 1))
        for here in range(len(placed) - 2, -1, -1):
            placed[here] = min(placed[here], placed[here + 1] - gap_px)
    found = [0.0] * len(placed)
    for index, place in zip(order, placed, strict=True):
        found[index] = place
    return found


def beside(
    points: Sequence[tuple[float, float]], widths_px: Sequence[float], order: Sequence[int], frame: Box
) -> list[Place]:
    """Places of names beside points.

    A name stands as near to its point as it can without lying on another name or point, nor the line to it;
    where there is room nowhere, right of it.

    Args:
        points: (x, y) in pixels.
        widths_px: of the names.
        order: in which the names choose, as indices.
        frame: what holds them all.
    """
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    names: list[Box] = []
    found = [Place(x + _DISTANCE_PX, y, 1) for x, y in points]
    for index in order:
        x, y = points[index]
        others = marks[:index] + marks[index + 1 :] + names
        for shift, side in product(_SHIFTS_PX, (1, -1)):
            near, far = x + side * _DISTANCE_PX, x + side * (_DISTANCE_PX + widths_px[index])
            box = (min(near, far), y + shift - 6, max(near, far), y + shift + 6)
            inside = frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]
            leader = [(x + part * (near - x), y + part * shift) for part in (0.25, 0.5, 0.75)]
            covered = [box, *((*point, *point) for point in leader)]
            if inside and not any(_overlap(one, other) for one in covered for other in others):
                found[index] = Place(near, y + shift, side)
                names.append(box)
                break
    return found


def _overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share more than an edge."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
