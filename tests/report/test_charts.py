"""Charts are well-formed SVG that a strict page may hold, with their words and values, whatever is drawn."""

from __future__ import annotations

import dataclasses
import math
import re

from arbiscale.evaluation.scores import OperatingPoint, Setting
from arbiscale.report.charts import bar_chart, line_chart, scatter_chart
from arbiscale.report.facts import Training
from arbiscale.report.figures import learning_curves, styles, thinned, trade_offs

from .charted import LABELS, named, parsed, texts, tooltips
from .conftest import HOSTILE


def test_words_stand_in_the_chart_as_they_are() -> None:
    chart = line_chart(LABELS, [named(f"$a$ {HOSTILE}", (2, 30), (4, 25))], x_ticks=[2, 4], x_prefix="×")
    root = parsed(chart)
    assert root.findtext("title") == LABELS.title
    assert root.findtext("desc") == "what is seen"
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "chart-title chart-desc"
    assert {f"$a$ {HOSTILE}", "scale", "PSNR (dB)", "×2", "×4"} <= {*texts(chart)}


def test_a_chart_needs_no_style_and_nothing_from_outside() -> None:
    chart = line_chart(LABELS, [named("a", (0, 1), (1, 2)), named("b", (0, 2), (1, 3), marker="cross")])
    for each in parsed(chart).iter():
        assert each.tag not in {"style", "metadata"}
        assert not {"style", "class"} & each.attrib.keys() or each.tag == "svg"
    assert not re.search(r"https?:|url\(|xmlns", chart)
    identities = [each.get("id") for each in parsed(chart).iter() if each.get("id")]
    assert all(str(each).startswith("chart-") for each in identities), "unique in a page of several charts"
    used = {each.get("href") for each in parsed(chart).iter("use")}
    assert used <= {f"#{each}" for each in identities}


def test_colours_are_those_of_the_pages_scheme() -> None:
    chart = scatter_chart(LABELS, [named("a", (0, 1))])
    assert "var(--hue-1)" in chart
    assert not re.search(r'(fill|stroke)="#', chart)


def test_equal_charts_are_equal_to_the_character() -> None:
    first, second = (scatter_chart(LABELS, [named("a", (25, 0.3)), named("b", (25, 0.31))]) for _ in range(2))
    assert first == second


def test_single_points_and_constant_lines_are_drawn() -> None:
    assert "<use" in line_chart(LABELS, [named("a", (4, 25))], markers=False)
    assert tooltips(line_chart(LABELS, [named("a", (1, 5), (2, 5))], logarithmic_y=True)) == ["a"]
    assert tooltips(scatter_chart(LABELS, [named("a", (25, 0.3))])) == ["a"]


def test_curves_have_their_names_below_and_tags_at_their_points() -> None:
    series = [named("a", (24, 0.3), (25, 0.4)), named("b", (24.5, 0.35), (25, 0.4)), named("c", (23, 0.5))]
    chart = scatter_chart(LABELS, series, tags=[["4", "1"], ["8", "1"], ["c"]])
    found = [text for text in texts(chart) if text in {*"abc148"}]
    assert sorted(found) == sorted([*"ab", *"148", "c"]), "a point of two curves is tagged once"
    assert tooltips(chart) == [*"abc"]
    alone = scatter_chart(LABELS, [named("only", (24, 0.3))], tags=[["only"]])
    assert texts(alone).count("only") == 1


def test_trade_offs_are_a_chart_a_scale_and_a_curve_an_eta(points: list[OperatingPoint]) -> None:
    other = dataclasses.replace(points[0], scale=2.7)
    four, small = trade_offs([*points, other], styles(["bicubic", "diffusion"], "diffusion"))
    assert (four.heading, small.heading) == ("×4", "×2.7")
    root = parsed(four.chart)
    assert root.findtext("title") == "LPIPS against PSNR over settings, ×4"
    assert root.findtext("desc") == (
        "bicubic: 23.00 dB, 0.500; "
        "diffusion steps 4, eta 0: 24.25 dB, 0.312; diffusion steps 1, eta 0: 25.50 dB, 0.438; "
        "diffusion steps 4, eta 1: 24.00 dB, 0.281; diffusion steps 1, eta 1: 25.50 dB, 0.438"
    )
    assert tooltips(four.chart) == ["bicubic", "diffusion, eta 0", "diffusion, eta 1"]
    assert [*map(texts(four.chart).count, ("4", "1", "bicubic"))] == [2, 1, 1]
    assert {"PSNR (dB) ↑", "LPIPS ↓"} <= {*texts(four.chart)}
    dashes = [
        each.get("stroke-dasharray") for each in root.iter("path") if each.get("stroke") == "var(--hue-1)"
    ]
    assert len({*dashes}) == 2, "a curve of every eta looks different"


def test_temperatures_are_a_curve_of_their_own(points: list[OperatingPoint]) -> None:
    for temperature in (0.0, 0.6):
        setting = Setting("temperature", steps=4, eta=0.0, temperature=temperature)
        points.append(OperatingPoint("diffusion", 4.0, setting, 24.25 - temperature, 0.25))
    (figure,) = trade_offs(points, styles(["bicubic", "diffusion"], "diffusion"))
    assert tooltips(figure.chart)[1:] == [f"diffusion, {each}" for each in ("eta 0", "eta 1", "temperature")]
    assert {"0", "0.6"} <= {*texts(figure.chart)}
    assert "diffusion steps 4, eta 0, temperature 0.6: 23.65 dB, 0.250" in figure.chart


def test_bars_have_their_names_and_values() -> None:
    chart = bar_chart(LABELS, [("a", 100.0, "100 s"), ("b", 50.0, "50 s"), ("c", 0.0, "0 s")])
    assert tooltips(chart) == ["a: 100 s", "b: 50 s", "c: 0 s"]
    assert {*"abc", "100 s", "50 s", "0 s"} <= {*texts(chart)}


def test_values_that_are_not_finite_are_left_out_of_curves() -> None:
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, 0.5), (3.0, math.inf)]
    (figure,) = learning_curves(Training("diffusion", {"train/loss": points}))
    assert "loss from 1 to 0.5" in figure.chart
    (empty,) = learning_curves(Training("diffusion", {"train/loss": [(0.0, math.nan)]}))
    assert "No finite value" in empty.chart


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
