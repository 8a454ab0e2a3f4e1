"""Axes: where values lie on them, and which numbers stand beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """A span of values laid on a span of pixels.

    Attributes:
        low: the value at `start_px`.
        high: the value at `end_px`.
        ticks: values that are written.
        logarithmic: whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start_px: float
    end_px: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        low, high, here = (self._position(each) for each in (self.low, self.high, value))
        return self.start_px + (here - low) / (high - low) * (self.end_px - self.start_px)

    def _position(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def axis(
    values: Sequence[float],
    start_px: float,
    end_px: float,
    *,
    logarithmic: bool = False,
    ticks: Sequence[float] | None = None,
    count: int = 5,
    air: float = 0.06,
) -> Axis:
    """An axis that holds all values with some air.

    Args:
        values: finite, at least one; positive where logarithmic.
        start_px: where the lowest lies.
        end_px: where the highest lies; may be less, for an axis upwards.
        logarithmic: equal ratios are equally far apart.
        ticks: the values to write; None chooses about `count` round ones.
        count: of ticks that are chosen.
        air: beyond the values on either side, as a share of what they span.
    """
    low, high = min(values), max(values)
    if logarithmic:
        ratio = (high / low) ** air if high > low else 1.5
        low, high = low / ratio, high * ratio
    else:
        beyond = air * (high - low) if high > low else 0.05 * abs(high) or 1
        low, high = low - beyond, high + beyond
    if ticks is None:
        ticks = round_ratios(low, high, count) if logarithmic else round_numbers(low, high, count)
    return Axis(low, high, start_px, end_px, tuple(ticks), logarithmic)


def round_numbers(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` multiples of 1, 2, 2.5 or 5 times a power of ten between two numbers."""
    rough = (high - low) / count
    magnitude = 10 ** math.floor(math.log10(rough))
    step = magnitude * next(each for each in _STEPS if each * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def round_ratios(low: float, high: float, count: int = 5) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers; of many, powers of ten only."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    inside = [each for each in fine if low <= each <= high]
    if len(inside) <= count + 1:
        return inside if len(inside) > 1 else round_numbers(low, high, count)
    powers = [float(f"1e{exponent}") for exponent in exponents if low <= 10.0**exponent <= high]
    return powers[:: math.ceil(len(powers) / (count + 1))]


def number(value: float) -> str:
    """A tick's text: no more digits than it has, thousands as 20k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k".replace("-", "−")
    return f"{value:g}".replace("-", "−")
