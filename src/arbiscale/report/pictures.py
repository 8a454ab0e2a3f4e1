"""The pictures of a page: which are shown, and each of them embedded once, without loss."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arbiscale.evaluation.comparisons import TRUTH, Comparison, kept_part
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.imaging.detail import Box, detail_box
from arbiscale.report.measures import label_of, measures, signed
from arbiscale.report.table import group_of

BUDGET_BYTES = 4_500_000  # of all encoded pictures; base64 makes a third more of it
_NUMBERS = ("psnr", "lpips")  # under a picture
_WEBP_PX = 16_383  # the longest side


class EmbeddedPictures:
    """Pictures as data URIs, `uris`, by their identity; equal pictures are held once."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left_bytes = budget_bytes
        self.uris: dict[str, str] = {}

    def add(self, pictures: Mapping[str, NDArray[np.uint8]]) -> dict[str, str] | None:
        """Embed pictures, uint8 (height, width, 3), and return their identities by label.

        None where they do not fit any more: either all are embedded or none, and after the first that did
        not fit no new picture is.
        """
        identities = {label: _identity(pixels) for label, pixels in pictures.items()}
        unknown = {identity: label for label, identity in identities.items() if identity not in self.uris}
        if unknown and not self._left_bytes:
            return None
        new = {identity: _encoded(pictures[label]) for identity, label in unknown.items()}
        size_bytes = sum(len(encoded) for _, encoded in new.values())
        if size_bytes > self._left_bytes:
            self._left_bytes = 0
            return None
        self._left_bytes -= size_bytes
        for identity, (kind, encoded) in new.items():
            self.uris[identity] = f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
        return identities


def _identity(pixels: NDArray[np.uint8]) -> str:
    """The same for equal pictures."""
    digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
    return f"p{digest.hexdigest()[:16]}"


def _encoded(pixels: NDArray[np.uint8]) -> tuple[str, bytes]:
    """The format and bytes of a picture: WebP without loss, or PNG where WebP cannot hold its size."""
    stream, picture = io.BytesIO(), Image.fromarray(pixels)
    if max(picture.size) > _WEBP_PX:
        picture.save(stream, "PNG")
        return "png", stream.getvalue()
    picture.save(stream, "WEBP", lossless=True, quality=60, method=2, exact=True)
    return "webp", stream.getvalue()


@dataclass(frozen=True)
class Tile:
    """A picture, by its identity, under its row's name; page.js reads the fields."""

    row: str
    label: str
    picture: str
    width: int
    height: int
    numbers: list[str]


@dataclass(frozen=True)
class PictureRow:
    """Pictures of one thing side by side; page.js reads the fields.

    Attributes:
        id: unique in the page.
        group: the group's name as it is read.
        title: what they show.
        note: about them: which part, what gain.
        credit: the photographer and licence; may be empty.
        tiles: one a row of the evaluation.
        detail: the part that is magnified, in pixels; None = none.
        left: the evaluation's row that the slider has on its left at first.
        right: and on its right.
    """

    id: str
    group: str
    title: str
    note: str
    credit: str
    tiles: list[Tile]
    detail: Box | None
    left: str
    right: str


@dataclass
class PagePictures:
    """All rows of pictures of a page, by group, and how many did not fit."""

    sheets: dict[str, list[PictureRow]] = field(default_factory=dict)
    best: dict[str, list[PictureRow]] = field(default_factory=dict)
    worst: dict[str, list[PictureRow]] = field(default_factory=dict)
    left_out: int = 0

    def rows(self) -> list[PictureRow]:
        """Every row, in the slider's order."""
        kinds = (self.sheets, self.best, self.worst)
        return [row for kind in kinds for rows in kind.values() for row in rows]


def select_pictures(
    evaluation: Evaluation,
    credits: Mapping[str, str],
    last: str,
    embedded: EmbeddedPictures,
) -> PagePictures:
    """Embed as many pictures as fit: of every group the first, then the best and worst, then the others.

    Args:
        evaluation: whose pictures are to be shown.
        credits: photographers and licences, by title.
        last: the row that the slider compares at first.
        embedded: gains the pictures.
    """
    page, comparisons = PagePictures(), evaluation.comparisons
    layers = [*zip_longest(*comparisons.values())]

    def add(kind: str, group: str, comparison: Comparison | None, note: str = "") -> None:
        if comparison is None:
            return
        rows = {"sheet": page.sheets, "best": page.best, "worst": page.worst}[kind]
        identity = f"{kind}-{group}-{len(rows.get(group, []))}"
        row = _picture_row(identity, group, comparison, note, credits, last, embedded)
        if row:
            rows.setdefault(group, []).append(row)
        else:
            page.left_out += 1

    def add_sheets(some: Sequence[Sequence[Comparison | None]]) -> None:
        for layer in some:
            for group, comparison in zip(comparisons, layer, strict=True):
                add("sheet", group, comparison)

    add_sheets(layers[:1])
    for group in evaluation.best:
        for kind, found in (("best", evaluation.best), ("worst", evaluation.worst)):
            for each in found[group]:
                add(kind, group, each, _gain_note(each, last))
    add_sheets(layers[1:])
    return page


def _picture_row(
    identity: str,
    group: str,
    comparison: Comparison,
    note: str,
    credits: Mapping[str, str],
    last: str,
    embedded: EmbeddedPictures,
) -> PictureRow | None:
    shown, part = _busiest_part(comparison)
    pictures = embedded.add(shown.pictures)
    if pictures is None:
        return None
    tiles = [
        Tile(row, label_of(row), pictures[row], pixels.shape[1], pixels.shape[0], _numbers(shown, row))
        for row, pixels in shown.pictures.items()
    ]
    rows = [tile.row for tile in tiles]
    left = next((row for row in ("bicubic", *rows) if row in rows and row != last), rows[0])
    right = next((row for row in (last, TRUTH, rows[-1]) if row in rows and row != left), rows[-1])
    return PictureRow(
        identity,
        group_of(group).heading,
        comparison.title,
        ", ".join(filter(None, (note, part))),
        credits.get(comparison.title, ""),
        tiles,
        detail_box(shown.pictures.get(TRUTH), shown.pictures.values()),
        left,
        right,
    )


def _busiest_part(comparison: Comparison) -> tuple[Comparison, str]:
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


def _numbers(comparison: Comparison, row: str) -> list[str]:
    """The numbers under a row's picture; those without a value are left out."""
    metrics = comparison.metrics.get(row, {})
    known = measures(name for name in _NUMBERS if math.isfinite(metrics.get(name, math.nan)))
    return [f"{each.label} {each.text(metrics[each.name])} {each.unit}".strip() for each in known]


def _gain_note(comparison: Comparison, last: str) -> str:
    """What the last model gained over bicubic on a picture."""
    ours, theirs = (comparison.metrics[row] for row in (last, BASELINE))
    change = ours.get("lpips", math.nan) - theirs.get("lpips", math.nan)
    lpips = f", {signed(change, 3)} LPIPS" if math.isfinite(change) else ""
    return f"{signed(ours['psnr'] - theirs['psnr'], 2)} dB PSNR{lpips}"
