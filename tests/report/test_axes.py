"""Axes: round numbers, and places in proportion."""

from __future__ import annotations

import pytest

from arbiscale.report.axes import axis, number, round_numbers, round_ratios


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (24.1, 28.3, [25, 26, 27, 28]),
        (0.9902, 0.9995, [0.992, 0.994, 0.996, 0.998]),
        (-0.3, 0.3, [-0.2, 0, 0.2]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert round_numbers(low, high) == expected


def test_ticks_of_ratios_are_few() -> None:
    assert round_ratios(0.8, 2000) == [1, 10, 100, 1000]
    assert round_ratios(0.04, 0.3) == [0.05, 0.1, 0.2]
    assert round_ratios(1.1, 1.4) == [1.1, 1.2, 1.3, 1.4]  # no 1, 2 or 5 times a power of ten inside
    assert len(round_ratios(1e-12, 1e12)) <= 7


def test_values_lie_between_the_ends_in_proportion() -> None:
    upwards = axis([10, 20], 200, 0, air=0)
    assert (upwards.at(10), upwards.at(15), upwards.at(20)) == (200, 100, 0)
    ratios = axis([1, 100], 0, 100, logarithmic=True, air=0)
    assert ratios.at(10) == pytest.approx(50)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-9])
def test_a_single_value_has_an_axis(value: float) -> None:
    made = axis([value], 0, 100)
    assert made.at(value) == pytest.approx(50)
    assert axis([2.0], 0, 100, logarithmic=True).at(2) == pytest.approx(50)


def test_numbers_are_written_without_more_digits_than_they_have() -> None:
    assert [number(each) for each in (2.5, 1000, 70000, -0.1)] == ["2.5", "1000", "70k", "−0.1"]
