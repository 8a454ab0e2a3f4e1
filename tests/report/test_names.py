from __future__ import annotations

from itertools import pairwise

import pytest

from arbiscale.report.charts import line_chart, scatter_chart

from .charted import LABELS, named, parsed, texts, tooltips


def test_labels_of_lines_that_end_together_keep_apart() -> None:
    chart = line_chart(LABELS, [named(name, (0, 1), (1, 2)) for name in "abcde"])
    heights = sorted(
        float(str(each.get("y"))) for each in parsed(chart).iter("text") if each.text in {*"abcde"}
    )
    assert min(b - a for a, b in pairwise(heights)) >= 12


@pytest.mark.parametrize("marker", ["circle", "square", "diamond", "triangle", "cross"])
def test_every_point_of_a_plane_is_named(marker: str) -> None:
    series = [named(f"row {index}", (25, 0.3 + index / 1000), marker=marker) for index in range(4)]
    chart = scatter_chart(LABELS, series, y_upwards=False)
    names = {each.name for each in series}
    assert names == {*tooltips(chart)}
    assert names <= {*texts(chart)}
