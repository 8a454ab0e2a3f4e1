"""What metrics are called, how values are written, and which is best."""

from __future__ import annotations

import math

import pytest

from arbiscale.report.measures import duration, measures, signed, significant


def best(metric: str, values: dict[str, float | None]) -> set[str]:
    (measure,) = measures([metric])
    return measure.best(values)


def test_the_best_is_the_highest_the_lowest_or_the_nearest_to_one() -> None:
    values = {"bicubic": 0.5, "diffusion": 0.9, "early": 1.6}
    assert best("ssim", values) == {"early"}
    assert best("lpips", values) == {"bicubic"}
    assert best("grid_energy", values) == {"diffusion"}
    assert best("something", values) == set()


def test_bounds_controls_and_missing_values_do_not_contest() -> None:
    values = {"autoencoder": 99.0, "other_latent": 98.0, "nan": math.nan, "none": None, "a": 1.0, "b": 2.0}
    assert best("psnr", values) == {"b"}
    assert best("psnr", {"a": 1.0, "autoencoder": 2.0}) == set(), "one alone is not best"


def test_equal_as_shown_is_equally_good() -> None:
    assert best("psnr", {"a": 30.001, "b": 30.002, "c": 29.0}) == {"a", "b"}


def test_metrics_come_in_the_order_of_papers_and_unknown_ones_last() -> None:
    found = measures(["fps", "own_metric", "lpips", "psnr"])
    assert [each.label for each in found] == ["PSNR", "LPIPS", "Speed", "own metric"]
    assert found[0].words == "PSNR (dB)"


def test_values_are_written_as_they_are_read() -> None:
    (psnr,) = measures(["psnr"])
    assert [psnr.text(value) for value in (25.274, -1.0, -0.001, None, math.nan, math.inf)] == [
        "25.27", "−1.00", "0.00", "–", "–", "–",
    ]  # fmt: skip
    assert [significant(value) for value in (1432.9, 8.033, 0.0456, 0)] == ["1 433", "8.03", "0.0456", "0"]
    assert [signed(value, 2) for value in (0.704, -0.1, -0.001, 0.0)] == ["+0.70", "−0.10", "0.00", "0.00"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0853, "85.3 ms"), (4.21, "4.21 s"), (723.4, "12 min 3 s"), (7500.0, "2 h 5 min"), (59.99, "60.0 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
