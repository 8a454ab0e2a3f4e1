"""What a chart is drawn of, and what its SVG says."""

from __future__ import annotations

from xml.etree import ElementTree

from arbiscale.report.series import Labels, Series, Style

from .conftest import HOSTILE

LABELS = Labels("chart", f"title {HOSTILE}", "what is seen", "scale", "PSNR (dB)")


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def texts(chart: str) -> list[str]:
    return [each.text or "" for each in parsed(chart).iter("text")]


def tooltips(chart: str) -> list[str]:
    return [each.text or "" for each in parsed(chart).iter("title")][1:]


def named(name: str, *points: tuple[float, float], marker: str = "circle") -> Series:
    return Series(name, points, Style("hue-1", marker))
