"""Charts by matplotlib as inline SVG: lines, named points in a plane, bars. Colours are page.css's variables.

matplotlib is imported when the first chart is drawn, not with this module.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from arbiscale.report.names import name_points, spread_names, write_names
from arbiscale.report.series import Labels, Series
from arbiscale.report.svg import COLOURS, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_WIDTH_PX, _HEIGHT_PX, _TALL_PX, _BAR_PX = 380, 250, 330, 22
_LEGEND_PX = 17  # of a name
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
        names = write_names(axes, series)
        _label(figure, axes, labels)
        spread_names(axes, series, names)
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
        name_points(axes, [*beside.values()])
        return inline_svg(figure, labels.identity, labels.title, labels.description)


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
