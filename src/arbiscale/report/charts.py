"""Charts as inline SVG: lines over an axis, points in a plane, bars. Colours come from page.css."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from arbiscale.report.axes import Axis, axis, number
from arbiscale.report.marks import Series, leader, line, marker, name
from arbiscale.report.placement import beside, spread
from arbiscale.report.svg import element

_WIDTH_PX, _HEIGHT_PX = 380, 250
_TOP_PX, _BOTTOM_PX = 10, 40
_CHARACTER_PX = 6.1  # of labels, about
_LABEL_GAP_PX = 13.0
_BAR_PX, _BAR_GAP_PX = 14, 8


@dataclass(frozen=True)
class Labels:
    """The words of a chart.

    Attributes:
        identity: unique in the page.
        title: what the chart shows, read out by screen readers.
        description: the same in a sentence, with what it finds.
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
    x_ticks: Sequence[float] | None = None,
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
        x_ticks: numbers below the axis; None chooses round ones.
        x_prefix: in front of these, such as ×.
        logarithmic_x: equal ratios of x are equally far apart.
        logarithmic_y: likewise for y; all must be positive.
        markers: whether points are marked; a lone point always is.
        from_zero: whether x begins at zero, wherever the first point lies.
    """
    names_px = max(len(each.name) for each in series) * _CHARACTER_PX + 16
    right_px = _WIDTH_PX - min(names_px, 0.36 * _WIDTH_PX)
    bottom_px = _HEIGHT_PX - _BOTTOM_PX
    y = axis(
        [point[1] for each in series for point in each.points],
        bottom_px,
        _TOP_PX,
        logarithmic=logarithmic_y,
    )
    left_px = _left_px(y)
    x_values = [point[0] for each in series for point in each.points]
    x_values += [0.0] if from_zero else []
    x_values += x_ticks or []
    x = axis(x_values, left_px, right_px, logarithmic=logarithmic_x, ticks=x_ticks)
    ends = [each.points[-1] for each in series]
    names_y_px = spread([y.at(end[1]) for end in ends], _LABEL_GAP_PX, _TOP_PX, bottom_px)
    parts = [_frame(labels, x, y, right_px, x_prefix)]
    drawn = sorted(zip(series, names_y_px, strict=True), key=lambda pair: pair[0].style.strong)
    for each, name_y_px in drawn:  # the strong one last, on top
        places = [(x.at(a), y.at(b)) for a, b in each.points]
        end_px = places[-1]
        name_x_px = max(end_px[0] + 8, right_px - 2)
        to_name = f"M{end_px[0] + 5:.1f} {end_px[1]:.1f}L{name_x_px:.1f} {name_y_px:.1f}h5"
        parts.append(line(each, places, markers or len(places) == 1))
        parts.append(element("g", leader(each, to_name), name(each, name_x_px + 8, name_y_px)))
    return _chart(labels, parts)


def plane(labels: Labels, series: Sequence[Series], *, y_upwards: bool = True) -> Markup:
    """Points of single x and y, each with its name beside it.

    Args:
        labels: the chart's words.
        series: at least one, each of one point.
        y_upwards: whether y grows upwards.
    """
    bottom_px, right_px = float(_HEIGHT_PX - _BOTTOM_PX), _WIDTH_PX - 8.0
    low_px, high_px = (bottom_px, float(_TOP_PX)) if y_upwards else (float(_TOP_PX), bottom_px)
    y = axis([each.points[0][1] for each in series], low_px, high_px, air=0.12)
    x = axis([each.points[0][0] for each in series], _left_px(y), right_px, air=0.12)
    places = [(x.at(each.points[0][0]), y.at(each.points[0][1])) for each in series]
    frame = (_left_px(y), float(_TOP_PX), right_px, bottom_px)
    parts = [_frame(labels, x, y, right_px, "")]
    order = sorted(  # the strong ones choose first, the grey ones last
        range(len(series)),
        key=lambda index: (
            not series[index].style.strong,
            series[index].style.colour == "muted",
            places[index][1],
        ),
    )
    names = beside(places, [len(each.name) * _CHARACTER_PX for each in series], order, frame)
    for each, (x_px, y_px), named in zip(series, places, names, strict=True):
        if abs(named.y_px - y_px) > 6:
            parts.append(leader(each, f"M{x_px:.1f} {y_px:.1f}L{named.x_px:.1f} {named.y_px:.1f}"))
        parts.append(marker(each, (x_px, y_px)))
        parts.append(name(each, named.x_px, named.y_px, "end" if named.side < 0 else None))
    return _chart(labels, parts)


def bar_chart(labels: Labels, bars: Sequence[tuple[str, float, str]]) -> Markup:
    """Horizontal bars from zero.

    Args:
        labels: the chart's words.
        bars: name, length in any unit, and how the length is written; at least one, none negative.
    """
    left_px = max(len(bar) for bar, _, _ in bars) * _CHARACTER_PX + 10
    values_px = max(len(text) for _, _, text in bars) * _CHARACTER_PX + 10
    longest = max(length for _, length, _ in bars) or 1.0
    parts = []
    for index, (bar, length, text) in enumerate(bars):
        top_px = index * (_BAR_PX + _BAR_GAP_PX) + 4.0
        width_px = max(1.0, length / longest * (_WIDTH_PX - left_px - values_px))
        middle_px = top_px + _BAR_PX / 2 + 4
        parts += [
            element("text", bar, class_="name", x=left_px - 8, y=middle_px, text_anchor="end"),
            element("rect", class_="bar", x=left_px, y=top_px, width=width_px, height=float(_BAR_PX)),
            element("text", text, class_="tick", x=left_px + width_px + 6, y=middle_px),
        ]
    return _chart(labels, parts, len(bars) * (_BAR_PX + _BAR_GAP_PX) + 4)


def _chart(labels: Labels, parts: Sequence[str], height_px: int = _HEIGHT_PX) -> Markup:
    named = f"{labels.identity}-title", f"{labels.identity}-description"
    return element(
        "svg",
        element("title", labels.title, id=named[0]),
        element("desc", labels.description, id=named[1]),
        *parts,
        class_="chart",
        role="img",
        viewBox=f"0 0 {_WIDTH_PX} {height_px}",
        aria_labelledby=" ".join(named),
    )


def _left_px(y: Axis) -> float:
    """Room for the numbers beside a vertical axis."""
    return max([3, *(len(number(tick)) for tick in y.ticks)]) * _CHARACTER_PX + 26


def _frame(labels: Labels, x: Axis, y: Axis, right_px: float, x_prefix: str) -> Markup:
    """Axes, grid, numbers and words."""
    left_px, bottom_px = x.start_px, float(_HEIGHT_PX - _BOTTOM_PX)
    parts = [element("path", class_="axis", d=f"M{left_px:.1f} {_TOP_PX}V{bottom_px:.1f}H{right_px:.1f}")]
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(element("line", class_="grid", x1=left_px, x2=right_px, y1=at, y2=at))
        parts.append(element("text", number(tick), class_="tick", x=left_px - 6, y=at + 4, text_anchor="end"))
    last_px = -1000.0
    for tick in x.ticks:
        at, text = x.at(tick), x_prefix + number(tick)
        parts.append(element("line", class_="axis", x1=at, x2=at, y1=bottom_px, y2=bottom_px + 4))
        half_px = len(text) * _CHARACTER_PX / 2
        if at - half_px > last_px + 4:  # numbers that would touch are left out, their marks stay
            parts.append(element("text", text, class_="tick", x=at, y=bottom_px + 16, text_anchor="middle"))
            last_px = at + half_px
    middle_px = (_TOP_PX + bottom_px) / 2
    parts += [
        element(
            "text",
            labels.x,
            class_="axis-name",
            x=(left_px + right_px) / 2,
            y=bottom_px + 34,
            text_anchor="middle",
        ),
        element(
            "text",
            labels.y,
            class_="axis-name",
            text_anchor="middle",
            transform=f"translate(11 {middle_px:.0f}) rotate(-90)",
        ),
    ]
    return element("g", *parts)
