"""Charts are well-formed SVG with words, whatever is drawn."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from arbiscale.report.charts import Labels, bar_chart, line_chart, plane
from arbiscale.report.figures import styles, thinned
from arbiscale.report.marks import Series, Style

from .conftest import HOSTILE

LABELS = Labels("chart", f"title {HOSTILE}", "what is seen", "scale", "PSNR (dB)")


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def texts(chart: str) -> list[str]:
    return [each.text or "" for each in parsed(chart).iter("text")]


def named(name: str, *points: tuple[float, float], marker: str = "circle") -> Series:
    return Series(name, points, Style("hue-1", marker))


def test_words_stand_in_the_chart_as_they_are() -> None:
    chart = line_chart(LABELS, [named(HOSTILE, (2, 30), (4, 25))], x_ticks=[2, 4], x_prefix="×")
    root = parsed(chart)
    assert root.findtext("title") == LABELS.title
    assert root.findtext("desc") == "what is seen"
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "chart-title chart-description"
    assert {HOSTILE, "scale", "PSNR (dB)", "×2", "×4"} <= {*texts(chart)}


def test_points_lie_where_their_values_say() -> None:
    chart = line_chart(LABELS, [named("a", (0, 0), (1, 1), (2, 2))])
    (path,) = (each.get("d", "") for each in parsed(chart).iter("path") if "line" in each.get("class", ""))
    places = [tuple(map(float, place.split())) for place in re.findall(r"[ML]([^ML]+)", path)]
    across, up = ([b[i] - a[i] for a, b in pairwise(places)] for i in (0, 1))
    assert across[0] == pytest.approx(across[1], abs=0.11)
    assert up[0] == pytest.approx(up[1], abs=0.11)
    assert across[0] > 0 > up[0], "larger values lie right and up"


def test_labels_of_lines_that_end_together_keep_apart() -> None:
    chart = line_chart(LABELS, [named(name, (0, 1), (1, 2)) for name in "abcde"])
    heights = sorted(
        float(each.get("y", "")) for each in parsed(chart).iter("text") if each.text in {*"abcde"}
    )
    assert min(b - a for a, b in pairwise(heights)) >= 12


def test_single_points_and_constant_lines_are_drawn() -> None:
    assert "circle" in line_chart(LABELS, [named("a", (4, 25))], markers=False)
    parsed(line_chart(LABELS, [named("a", (1, 5), (2, 5))]))
    parsed(plane(LABELS, [named("a", (25, 0.3))]))


@pytest.mark.parametrize("marker", ["circle", "square", "diamond", "triangle", "cross"])
def test_a_plane_has_a_marker_for_every_point(marker: str) -> None:
    series = [named(f"row {index}", (25, 0.3 + index / 1000), marker=marker) for index in range(4)]
    chart = plane(LABELS, series, y_upwards=False)
    marks = [each for each in parsed(chart).iter() if each.get("class", "").startswith("mark ")]
    assert [mark.findtext("title") for mark in marks] == [each.name for each in series]


def test_names_in_a_plane_lie_on_nothing() -> None:
    crowd = [(25.0, 0.3), (25.0, 0.301), (25.05, 0.3), (24.9, 0.302), (25.5, 0.3), (30.0, 0.9), (24.0, 0.9)]
    series = [named(f"a longer name {index}", point) for index, point in enumerate(crowd)]
    root = parsed(plane(LABELS, series))
    boxes = []
    for each in root.iter("text"):
        if str(each.text).startswith("a longer name"):
            x, y, width = float(each.get("x", "")), float(each.get("y", "")), 6 * len(str(each.text))
            left = x - width if each.get("text-anchor") == "end" else x
            boxes.append((left, left + width, y - 9, y + 2))
    marks = [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in root.iter("circle")]
    assert len(boxes) == len(marks) == len(crowd)
    for one, other in combinations(boxes, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    for left, right, top, bottom in boxes:
        assert not [mark for mark in marks if left < mark[0] < right and top < mark[1] < bottom]
        assert left >= 0
        assert right <= 380


def test_a_plane_may_grow_downwards() -> None:
    def heights(y_upwards: bool) -> list[float]:
        chart = plane(LABELS, [named("a", (1, 0.1)), named("b", (2, 0.9))], y_upwards=y_upwards)
        return [float(each.get("cy", "")) for each in parsed(chart).iter("circle")]

    assert heights(True)[0] > heights(True)[1]
    assert heights(False)[0] < heights(False)[1]


def test_bars_are_as_long_as_their_values() -> None:
    chart = bar_chart(LABELS, [("a", 100.0, "100 s"), ("b", 50.0, "50 s"), ("c", 0.0, "0 s")])
    widths = [float(each.get("width", "")) for each in parsed(chart).iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == 1
    assert "50 s" in texts(chart)


def test_long_curves_are_shown_as_means_of_neighbours() -> None:
    points = [(float(step), float(step % 2)) for step in range(1000)]
    shown = thinned(points, 100)
    assert len(shown) == 100
    assert shown[0] == (4.5, 0.5)
    assert thinned(points[:5], 100) == points[:5]


def test_every_row_looks_different() -> None:
    rows = ["bicubic", "lanczos", "autoencoder", "diffusion", "last", "other_latent", *"abcdefg"]
    look = styles(rows, "last")
    assert look.keys() == {*rows}
    assert len({*look.values()}) == len(rows)
    assert [row for row in rows if look[row].strong] == ["last"]
