"""What stands for a series in a chart: its line, its points and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from arbiscale.report.svg import element

Point = tuple[float, float]

# Markers as steps from their middle: SVG's command, right, down, in radii.
_FORMS: dict[str, list[tuple[str, float, float]]] = {
    "square": [("m", -1, -1), ("l", 2, 0), ("l", 0, 2), ("l", -2, 0), ("l", 0, -2)],
    "diamond": [("m", 0, -1.4), ("l", 1.4, 1.4), ("l", -1.4, 1.4), ("l", -1.4, -1.4), ("l", 1.4, -1.4)],
    "triangle": [("m", 0, -1.2), ("l", 1.2, 2.2), ("l", -2.4, 0), ("l", 1.2, -2.2)],
    "cross": [("m", -1, -1), ("l", 2, 2), ("m", 0, -2), ("l", -2, 2)],
}


@dataclass(frozen=True)
class Style:
    """How a series is told from others, by more than its colour.

    Attributes:
        colour: class of page.css.
        marker: of points: circle, square, diamond, triangle, cross.
        dash: as SVG's stroke-dasharray; empty = a whole line.
        strong: stands out.
    """

    colour: str
    marker: str = "circle"
    dash: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one name, in the order in which they are joined."""

    name: str
    points: Sequence[Point]
    style: Style


def line(series: Series, places: Sequence[Point], markers: bool) -> Markup:
    """A series' line through places in pixels, and its points where they are marked."""
    style = series.style
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    joined = element(
        "path",
        class_=f"line {style.colour}{' strong' if style.strong else ''}",
        d=path,
        stroke_dasharray=style.dash or None,
    )
    return element("g", joined, *(marker(series, place) for place in places if markers))


def marker(series: Series, place: Point) -> Markup:
    """A point at a place in pixels, told by its form, too."""
    style = series.style
    radius = 4.2 if style.strong else 3.4
    form = _FORMS.get(style.marker)
    if form is None:
        centre = {"cx": place[0], "cy": place[1], "r": radius}
        return element("circle", element("title", series.name), class_=f"mark {style.colour}", **centre)
    steps = "".join(f"{command}{radius * dx:.1f} {radius * dy:.1f}" for command, dx, dy in form)
    return element(
        "path",
        element("title", series.name),
        class_=f"mark {style.colour}{' open' if style.marker == 'cross' else ''}",
        d=f"M{place[0]:.1f} {place[1]:.1f}{steps}",
    )


def leader(series: Series, path: str) -> Markup:
    """A thin line from a point to its name, along a path in SVG's commands."""
    return element("path", class_=f"leader {series.style.colour}", d=path)


def name(series: Series, x_px: float, middle_px: float, anchor: str | None = None) -> Markup:
    """A series' name, at half its height; `anchor`: SVG's text-anchor."""
    kind = "name strong" if series.style.strong else "name"
    return element("text", series.name, class_=kind, x=x_px, y=middle_px + 4, text_anchor=anchor)
