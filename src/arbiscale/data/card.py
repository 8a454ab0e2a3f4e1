"""The data card: what a folder of crops was made of, for people (`card.html`) and programs (`card.json`)."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from arbiscale.config.sizes import size_name
from arbiscale.data.manifest import CARD, PAGE, SHEET, Crop, HeldOut, Manifest, Photograph, Split
from arbiscale.files import atomic_file, write_json

_BINS = 20  # of a histogram
_SWATCHES = 96
_SHOWN = 200  # lines of a list on the page; the JSON has all


def write_card(folder: Path, photographs: Sequence[Photograph], manifest: Manifest) -> None:
    """Write both files into a folder of crops, the contact sheet that lies there inside the page."""
    card = describe(photographs, manifest)
    write_json(folder / CARD, card)
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    ).get_template("card.html.jinja")
    sheet = base64.b64encode((folder / SHEET).read_bytes()).decode()
    with atomic_file(folder / PAGE) as temporary:
        temporary.write_text(template.render(card=card, sheet=sheet, shown=_SHOWN), encoding="utf-8")


def describe(photographs: Sequence[Photograph], manifest: Manifest) -> dict[str, Any]:
    """The card's content, of JSON's types.

    Args:
        photographs: all that could be read, used or not.
        manifest: what became of them.
    """
    split_of: dict[str, Split] = {}
    scenes: dict[Split, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for each in itertools.chain[Crop | HeldOut](manifest.crops, manifest.photographs):
        split_of[each.source] = each.split
        scenes[each.split].add(each.scene)
    used = {split: _Columns() for split in scenes}
    for photograph in photographs:  # few at a time
        if photograph.name in split_of:
            used[split_of[photograph.name]].add(photograph)
    parts = [*used.values()]
    colours = sorted((each for part in parts for each in part.colours), key=_luma)
    return {
        "splits": {
            split: {
                "photographs": len(part.widths),
                "scenes": len(scenes[split]),
                "crops": {size_name(size): count for size, count in manifest.sizes(split).items()},
                "mean_colour": _mean(part.colours),
            }
            for split, part in used.items()
        },
        "sizes": {
            "width": _spread([each for part in parts for each in part.widths]),
            "height": _spread([each for part in parts for each in part.heights]),
        },
        "licences": dict(sum((part.licences for part in parts), Counter[str]()).most_common()),
        "sharpness": _histogram({name: part.sharpness for name, part in used.items()}),
        "jpeg_quality": _histogram({name: part.jpeg_quality for name, part in used.items()}, (0, 100)),
        "colours": [colours[index * len(colours) // _SWATCHES] for index in range(_SWATCHES)]
        if len(colours) > _SWATCHES
        else colours,
        "near_duplicates": [dataclasses.asdict(each) for each in manifest.near_duplicates],
        "rejected": [dataclasses.asdict(each) for each in manifest.rejected],
    }


class _Columns:
    """What the card shows of a split's photographs."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self.heights: list[int] = []
        self.colours: list[str] = []
        self.sharpness: list[float | None] = []
        self.jpeg_quality: list[float | None] = []
        self.licences: Counter[str] = Counter()

    def add(self, photograph: Photograph) -> None:
        """Note one."""
        self.widths.append(photograph.width)
        self.heights.append(photograph.height)
        if photograph.mean_colour:
            self.colours.append(photograph.mean_colour)
        self.sharpness.append(photograph.sharpness)
        self.jpeg_quality.append(photograph.jpeg_quality)
        self.licences[photograph.licence or "not stated"] += 1


def _spread(values: Sequence[int]) -> dict[str, int]:
    """Of pixels; nothing where there are no photographs."""
    if not values:
        return {}
    return {"smallest": min(values), "median": int(np.median(values)), "largest": max(values)}


def _histogram(
    values: Mapping[Split, Sequence[float | None]], limits: tuple[float, float] | None = None
) -> dict[str, Any]:
    """How many photographs lie between neighbouring edges, by split; those without a value lie nowhere."""
    there = {split: [each for each in part if each is not None] for split, part in values.items()}
    everything = [each for part in there.values() for each in part]
    edges = np.histogram_bin_edges(everything, _BINS, limits)
    counts = {split: np.histogram(part, edges)[0].tolist() for split, part in there.items()}
    return {"edges": edges.round(2).tolist(), "counts": counts, "without": _count(values) - len(everything)}


def _count(values: Mapping[Split, Sequence[object]]) -> int:
    return sum(len(part) for part in values.values())


def _rgb(colour: str) -> list[int]:
    return [*bytes.fromhex(colour.removeprefix("#"))]


def _luma(colour: str) -> float:
    red, green, blue = _rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _mean(colours: Sequence[str]) -> str | None:
    """Of the photographs' mean colours, each counted once whatever its size."""
    return "#" + bytes(np.mean([*map(_rgb, colours)], 0).round().astype(np.uint8)).hex() if colours else None
