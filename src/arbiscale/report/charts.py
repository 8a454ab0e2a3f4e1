"""Charts by matplotlib as inline SVG: lines, named points in a plane, bars. Colours are page.css's variables.

matplotlib is imported when the first chart is drawn, not with this module.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress, product
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from arbiscale.report.svg import COLOURS, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_WIDTH_PX, _HEIGHT_PX, _TALL_PX, _BAR_PX = 380, 250, 330, 22
_LINE_PX, _LEGEND_PX = 13.0, 17  # of names
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^", "cross": "x"}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name is one
    "lines.scale_dashes": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "ytick.major.size": 0,
    "text.color": COLOURS["ink"],
    "grid.color": COLOURS["faint"],
    "axes.spines.top": False,
    "axes.spines.right": False,
} | dict.fromkeys(("axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), COLOURS["muted"])

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


def line_chart(
    labels: Labels,
    series: Sequence[Series],
    *,
    x_ticks: Sequence[float] = (),
    x_prefix: str = "",
    logarithmic_x: bool = False,
    logarithmic_y: bool = False,
    markers: bool = True,
    from_zero: bool = False,
) -> Markup:
    """Lines, each with its name at its end.

    Args:
        labels: the chart's words.
        series: at least one, each of at least one point.
        x_ticks: numbers below the axis; none = round ones.
        x_prefix: in front of these, such as ×.
        logarithmic_x: whether equal ratios of x are equally far apart.
        logarithmic_y: likewise for y; all must be positive.
        markers: whether points are marked; a lone point always is.
        from_zero: whether x begins at zero, wherever the first point lies.
    """
    with _figure() as (figure, axes):
        for each in series:
            _draw(axes, each, markers=markers or len(each.points) == 1)
        if from_zero:
            axes.set_xlim(left=0)
        axes.set_xscale("log" if logarithmic_x else "linear")
        axes.set_yscale("log" if logarithmic_y else "linear")
        _round_ticks(axes.xaxis, x_prefix)
        _round_ticks(axes.yaxis)
        if x_ticks:
            axes.set_xticks(x_ticks)
        beside = axes.get_yaxis_transform()  # right of the axes, at a value's height
        names = [_name(axes, each, (1.04, each.points[-1][1]), beside) for each in series]
        _label(figure, axes, labels)
        ends = [axes.transData.transform(each.points[-1]) for each in series]
        heights = _spread([end[1] for end in ends], axes.bbox.y0, axes.bbox.y1)
        for name, each, end, height in zip(names, series, ends, heights, strict=True):
            name.set_transform(None)
            name.set_position((axes.bbox.x1 + 12, height))
            _leader(axes, each, (end[0] + 5, end[1]), (axes.bbox.x1 + 8, height))
        return inline_svg(figure, labels.identity, labels.title, labels.description)


def scatter_chart(
    labels: Labels,
    series: Sequence[Series],
    *,
    y_upwards: bool = True,
    tags: Sequence[Sequence[str]] = (),
) -> Markup:
    """Points in a plane, each with its name beside it; or curves, named below.

    Args:
        labels: the chart's words.
        series: at least one; each of one point if there are no tags.
        y_upwards: whether y grows upwards.
        tags: of curves: what stands beside each point of each series; where it is the series' name, it is
            not named below.
    """
    height_px = _TALL_PX + len(series) * _LEGEND_PX if tags else _HEIGHT_PX
    with _figure(height_px) as (figure, axes):
        axes.margins(0.12)
        for each in series:
            _draw(axes, each, line=bool(tags))
        beside = {(each.name, each.points[0]): each for each in series}
        if tags:
            beside = {  # equal points of two curves are named once
                (tag, point): Series(tag, [point], each.style)
                for each, texts in zip(series, tags, strict=True)
                for point, tag in zip(each.points, texts, strict=True)
            }
            named = [each.name not in texts for each, texts in zip(series, tags, strict=True)]
            lines = [*compress(axes.lines, named)]
            names = [each.name for each in compress(series, named)]
            figure.legend(lines, names, loc="outside lower left", frameon=False)
        _round_ticks(axes.xaxis)
        _round_ticks(axes.yaxis)
        if not y_upwards:
            axes.invert_yaxis()
        _label(figure, axes, labels)
        _name_points(axes, [*beside.values()])
        return inline_svg(figure, labels.identity, labels.title, labels.description)


def _name_points(axes: Axes, series: Sequence[Series]) -> None:
    """Put each name as near to its point as it can stand without covering another name or point."""
    from matplotlib.transforms import Bbox

    points = [axes.transData.transform(each.points[0]) for each in series]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in points]
    order = sorted(  # the strong one chooses its place first, grey ones last
        range(len(series)),
        key=lambda index: (not series[index].style.strong, series[index].style.colour == "muted"),
    )
    for index in order:
        (x, y), others = points[index], taken[:index] + taken[index + 1 :]
        name = _name(axes, series[index], (x + 9, y), None)
        width = name.get_window_extent().width
        for shift, left in product(sorted(range(-72, 73, 3), key=abs), (x + 9, x - 9 - width)):
            box = Bbox.from_bounds(left, y + shift - 6, width, 12)
            near = (left if left > x else box.x1, y + shift)
            leader = Bbox.from_bounds((x + near[0]) / 2, y + shift / 2, 1, 1)  # its middle
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= _WIDTH_PX and axes.bbox.containsy(near[1])
            if inside and not box.count_overlaps(others) and not leader.count_overlaps(others):
                name.set_position((left, y + shift))
                taken.append(box)
                if abs(shift) > 6:
                    _leader(axes, series[index], (x, y), near)
                break


def bar_chart(labels: Labels, bars: Sequence[tuple[str, float, str]]) -> Markup:
    """Horizontal bars from zero.

    Args:
        labels: the chart's words.
        bars: name, length in any unit, and how the length is written; at least one, none negative.
    """
    with _figure(len(bars) * _BAR_PX + 8) as (figure, axes):
        drawn = axes.barh(
            range(len(bars)), [length for _, length, _ in bars], height=0.65, color=COLOURS["hue-2"]
        )
        for bar, (name, _, text) in zip(drawn, bars, strict=True):
            bar.set_gid(f"{name}: {text}")
        axes.bar_label(drawn, [text for *_, text in bars], padding=6, color=COLOURS["muted"])
        axes.set_yticks(range(len(bars)), [name for name, *_ in bars], color=COLOURS["ink"])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        return inline_svg(figure, labels.identity, labels.title, labels.description)


@contextmanager
def _figure(height_px: int = _HEIGHT_PX) -> Iterator[tuple[Figure, Axes]]:
    """A figure whose points are the page's pixels, and its axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser's fonts may have it
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # very long names overflow
        figure = Figure((_WIDTH_PX / 72, height_px / 72), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        yield figure, axes


def _draw(axes: Axes, series: Series, *, line: bool = True, markers: bool = True) -> None:
    style, colour = series.style, COLOURS[series.style.colour]
    axes.plot(
        *zip(*series.points, strict=True),
        color=colour,
        linestyle=((0, style.dash) if style.dash else "-") if line else "none",
        linewidth=2.6 if style.strong else 1.6,
        marker=_MARKERS[style.marker] if markers else "",
        markersize=8.4 if style.strong else 6.8,
        markeredgecolor=colour if style.marker == "cross" else COLOURS["paper"],
        markeredgewidth=1.8 if style.marker == "cross" else 1,
        zorder=3 if style.strong else 2,
        clip_on=False,
        gid=series.name,
    )


def _name(axes: Axes, series: Series, place: Point, transform: Any) -> Any:
    weight = "bold" if series.style.strong else "normal"
    return axes.text(*place, series.name, transform=transform, va="center_baseline", weight=weight)


def _leader(axes: Axes, series: Series, start_px: Point, end_px: Point) -> None:
    """A thin line from a point to its name."""
    from matplotlib.lines import Line2D

    colour = COLOURS[series.style.colour]
    axes.figure.add_artist(
        Line2D(*zip(start_px, end_px, strict=True), transform=None, color=colour, linewidth=0.8, alpha=0.7)
    )


def _round_ticks(axis: Axis, prefix: str = "") -> None:
    """Few round numbers beside an axis: 20k for thousands; 1, 2, 5 or powers of ten on a logarithmic one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,), numticks=7))
    else:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: prefix + _number(value)))


def _number(value: float) -> str:
    """A tick's text: no more digits than it has, thousands as 20k."""
    text = f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"
    return text.replace("-", "−")


def _label(figure: Figure, axes: Axes, labels: Labels) -> None:
    """Names of axes and the grid; afterwards places in pixels are final."""
    axes.set_xlabel(labels.x)
    axes.set_ylabel(labels.y)
    axes.grid(axis="y")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    last_px = -math.inf
    for label in axes.get_xticklabels():  # numbers that would touch are left out, their marks stay
        box = label.get_window_extent()
        label.set_visible(box.x0 > last_px + 2)
        last_px = box.x1 if label.get_visible() else last_px


def _spread(wanted_px: Sequence[float], low_px: float, high_px: float) -> list[float]:
    """Heights of names: near the wanted ones, in their order, a line apart, within bounds if they fit."""
    order = sorted(range(len(wanted_px)), key=lambda index: wanted_px[index])
    placed = [0.0] * len(wanted_px)
    below = low_px - _LINE_PX
    for index in order:
        placed[index] = below = max(wanted_px[index], below + _LINE_PX)
    above = max(high_px, low_px + _LINE_PX * (len(order) - 1)) + _LINE_PX
    for index in reversed(order):
        placed[index] = above = min(placed[index], above - _LINE_PX)
    return placed
