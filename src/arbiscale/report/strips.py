"""Which pictures a page shows: comparisons with their details, the best and the worst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from arbiscale.evaluation.comparisons import BestAndWorst, Comparison, Improvement, kept_part
from arbiscale.imaging.detail import Box, detail_box
from arbiscale.report.album import Album
from arbiscale.report.measures import label_of, measures, signed
from arbiscale.report.table import group_of

TRUTH = "ground truth"
_NUMBERS = ("psnr", "lpips")  # that stand under a picture


@dataclass(frozen=True)
class Tile:
    """A picture under its row's name."""

    row: str
    label: str
    identity: str  # in the album
    width_px: int
    height_px: int
    numbers: list[str]


@dataclass(frozen=True)
class Strip:
    """Pictures of one thing side by side.

    Attributes:
        identity: unique in the page.
        group: the group's name as it is read.
        title: what they show.
        note: about them: which part, what gain.
        tiles: by row.
        detail: the part that is magnified, in pixels; None = none.
        credit: whom to name; empty = nobody.
        left: the row that the slider has on its left at first.
        right: and on its right.
    """

    identity: str
    group: str
    title: str
    note: str
    tiles: list[Tile]
    detail: Box | None
    credit: str
    left: str
    right: str


@dataclass
class Gallery:
    """All strips of a page, by group, and how many did not fit."""

    sheets: dict[str, list[Strip]] = field(default_factory=dict)
    best: dict[str, list[Strip]] = field(default_factory=dict)
    worst: dict[str, list[Strip]] = field(default_factory=dict)
    left_out: int = 0

    def strips(self) -> list[Strip]:
        """Every strip, as the slider offers them."""
        return [
            strip
            for shown in (self.sheets, self.best, self.worst)
            for strips in shown.values()
            for strip in strips
        ]


def hang(
    comparisons: Mapping[str, Sequence[Comparison]],
    extremes: Mapping[str, BestAndWorst],
    credits: Mapping[str, str],
    last: str,
    album: Album,
) -> Gallery:
    """Take as many pictures into the album as fit: of every group the first, the extremes, the others.

    Args:
        comparisons: by group.
        extremes: by group.
        credits: whom to name, by title.
        last: the row to compare with the truth at first.
        album: takes the pictures.
    """
    gallery = Gallery()

    def add(where: dict[str, list[Strip]], kind: str, group: str, shown: Comparison, note: str) -> None:
        number = len(where.get(group, []))
        strip = _strip(f"{kind}-{group}-{number}", group, shown, note, credits, last, album)
        if strip:
            where.setdefault(group, []).append(strip)
        else:
            gallery.left_out += 1

    def add_sheets(part: slice) -> None:
        for layer in zip_longest(*(held[part] for held in comparisons.values())):
            for group, comparison in zip(comparisons, layer, strict=True):
                if comparison:
                    add(gallery.sheets, "sheet", group, comparison, "")

    add_sheets(slice(1))
    for group, found in extremes.items():
        for each in found.best():
            add(gallery.best, "best", group, each.comparison, _gain_note(found, each))
        for each in found.worst():
            add(gallery.worst, "worst", group, each.comparison, _gain_note(found, each))
    add_sheets(slice(1, None))
    return gallery


def _strip(
    identity: str,
    group: str,
    comparison: Comparison,
    note: str,
    credits: Mapping[str, str],
    last: str,
    album: Album,
) -> Strip | None:
    shown, part = _within_window(comparison)
    identities = album.take(shown.pictures)
    if identities is None:
        return None
    tiles = [
        Tile(
            row,
            label_of(row),
            identities[row],
            pixels.shape[1],
            pixels.shape[0],
            _numbers(shown.metrics.get(row, {})),
        )
        for row, pixels in shown.pictures.items()
    ]
    rows = [tile.row for tile in tiles]
    left = next((row for row in ("bicubic", *rows) if row in rows and row != last), rows[0])
    right = next((row for row in (last, TRUTH, rows[-1]) if row in rows and row != left), rows[-1])
    note = ", ".join(filter(None, (note, part)))
    credit = credits.get(comparison.title, "")
    label = group_of(group).full_label if group_of(group).scale else label_of(group)
    return Strip(
        identity,
        label,
        comparison.title,
        note,
        tiles,
        detail_box(shown.pictures.get("ground truth"), shown.pictures.values()),
        credit,
        left,
        right,
    )


def _within_window(comparison: Comparison) -> tuple[Comparison, str]:
    """Of large pictures the busiest part of each, and which part of what that is."""
    truth = comparison.pictures.get(TRUTH)
    if truth is None or any(pixels.shape != truth.shape for pixels in comparison.pictures.values()):
        return comparison, ""
    left, top, right, bottom = kept_part(truth)
    if (right - left, bottom - top) == (truth.shape[1], truth.shape[0]):
        return comparison, ""
    cut = {row: pixels[top:bottom, left:right] for row, pixels in comparison.pictures.items()}
    part = f"{right - left} × {bottom - top} px of {truth.shape[1]} × {truth.shape[0]}"
    return replace(comparison, pictures=cut), part


def _numbers(metrics: Mapping[str, float]) -> list[str]:
    """The numbers under a picture; those without a value are left out."""
    known = measures(name for name in _NUMBERS if math.isfinite(metrics.get(name, math.nan)))
    return [f"{each.label} {each.text(metrics[each.name])} {each.unit}".strip() for each in known]


def _gain_note(extremes: BestAndWorst, extreme: Improvement) -> str:
    """What the row gained over the other one on a picture."""
    said = [f"{signed(extreme.gain_db, 2)} dB PSNR"]
    ours, theirs = (extreme.comparison.metrics[row] for row in (extremes.row, extremes.over))
    change = ours.get("lpips", math.nan) - theirs.get("lpips", math.nan)
    if math.isfinite(change):
        said.append(f"{signed(change, 3)} LPIPS")
    return ", ".join(said)
