"""What a chart is given: its words, its series, and what these look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """What distinguishes a series from others: more than its colour.

    Attributes:
        colour: variable of page.css.
        marker: of points: circle, square, diamond, triangle, cross.
        dash: lengths of strokes and gaps in pixels; empty = a whole line.
        strong: stands out.
    """

    colour: str
    marker: str = "circle"
    dash: tuple[float, ...] = ()
    strong: bool = False


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one name, in the order in which they are joined."""

    name: str
    points: Sequence[Point]
    style: Style


@dataclass(frozen=True)
class Labels:
    """The words of a chart.

    Attributes:
        identity: unique in the page.
        title: what the chart shows, for screen readers.
        description: the same in a sentence, with its values.
        x: the horizontal axis, with its unit.
        y: the vertical axis, with its unit.
    """

    identity: str
    title: str
    description: str
    x: str
    y: str
