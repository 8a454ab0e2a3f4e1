"""Where names stand in a chart: at the ends of its lines, or beside its points, none on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from arbiscale.report.series import Point, Series
from arbiscale.report.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_LINE_PX = 13.0


def write_names(axes: Axes, series: Sequence[Series]) -> list[Text]:
    """Lines' names right of the axes, so that the layout leaves room for them; see `spread_names`."""
    beside = axes.get_yaxis_transform()  # right of the axes, at a value's height
    return [_name(axes, each, (1.04, each.points[-1][1]), beside) for each in series]


def spread_names(axes: Axes, series: Sequence[Series], names: Sequence[Text]) -> None:
    """Once places in pixels are final: put lines' names a line apart, each joined to its line's end."""
    ends = [axes.transData.transform(each.points[-1]) for each in series]
    heights = _spread([end[1] for end in ends], axes.bbox.y0, axes.bbox.y1)
    for name, each, end, height in zip(names, series, ends, heights, strict=True):
        name.set_transform(None)
        name.set_position((axes.bbox.x1 + 12, height))
        _leader(axes, each, (end[0] + 5, end[1]), (axes.bbox.x1 + 8, height))


def name_points(axes: Axes, series: Sequence[Series]) -> None:
    """Put each name as near to its point as it can stand without covering another name or point."""
    from matplotlib.transforms import Bbox

    width_px = axes.figure.bbox.width
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
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= width_px and axes.bbox.containsy(near[1])
            if inside and not box.count_overlaps(others) and not leader.count_overlaps(others):
                name.set_position((left, y + shift))
                taken.append(box)
                if abs(shift) > 6:
                    _leader(axes, series[index], (x, y), near)
                break


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
