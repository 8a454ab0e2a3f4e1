"""How the crops of training and validation are kept: as pixels, or as photographs that they are cut from.

Both give the same crops, to the bit, so which one it is changes no result.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import CropSettings, StoreName
from arbiscale.config.sizes import Size
from arbiscale.data.boxes import box_size, count_boxes, crop_size, cut
from arbiscale.data.examination import pixels_of
from arbiscale.data.manifest import Box, Photograph, Shard, Split
from arbiscale.data.photograph_shards import SUFFIXES, Kept, PhotographShard, PhotographWriter
from arbiscale.data.pixel_shards import PixelWriter
from arbiscale.data.remote_shards import ShardPrefix
from arbiscale.data.shards import OpenShards
from arbiscale.errors import UserError
from arbiscale.imaging.formats import find_format, recognise
from arbiscale.imaging.writing import Layout, encode_bands
from arbiscale.progress import readable_size

PIXELS_UP_TO_BYTES = 16 * 2**30  # `auto`: a sample costs less than a millisecond, and this much disk is there


class Writer(Protocol):
    """Takes what a store made of photographs, those of one split whose crops are of one size."""

    def add(self, made: Any, /) -> list[tuple[str, int]]:
        """Returns for each crop its shard's file and its number in there."""

    def finish(self) -> list[Shard]:
        """Write what is left; returns all shards."""


class Store(Protocol):
    """One way to keep crops."""

    name: Literal["pixels", "photographs"]
    suffix: str  # of its shards

    def bytes_of(self, photograph: Photograph, settings: CropSettings) -> int:
        """The disk that a photograph takes, or a little less."""

    def make(self, data: bytes, boxes: Sequence[Box], size: Size) -> Any:
        """What is kept of a photograph's file."""

    def as_it_is(self, data: bytes, boxes: Sequence[Box], size: Size) -> Any:
        """What `make` would give, where nothing needs to be computed for it; else None."""

    def writer(self, folder: Path, split: Split, size: Size | None) -> Writer:
        """For what `make` gives; `size` as of a `Shard`."""

    def copied(self, shards: OpenShards, places: Sequence[tuple[Path, int]]) -> Any:
        """What `make` gave for the crops in these shards at these numbers, all of one photograph."""


class PixelStore(Store):
    """Cut beforehand: the fastest to read, three bytes a pixel."""

    name = "pixels"
    suffix = ".npy"

    def bytes_of(self, photograph: Photograph, settings: CropSettings) -> int:
        """Of all crops."""
        return count_boxes(photograph, settings) * _crop_bytes(photograph, settings)

    def make(self, data: bytes, boxes: Sequence[Box], size: Size) -> list[NDArray[np.uint8]]:
        """The crops."""
        pixels = pixels_of(data)
        return [cut(pixels, box, size) for box in boxes]

    def as_it_is(self, data: bytes, boxes: Sequence[Box], size: Size) -> None:
        """Nothing: every photograph is decoded."""

    def writer(self, folder: Path, split: Split, size: Size | None) -> PixelWriter:
        """Of arrays."""
        return PixelWriter(folder, split, size)

    def copied(self, shards: OpenShards, places: Sequence[tuple[Path, int]]) -> list[NDArray[np.uint8]]:
        """Copies of the crops."""
        return [np.array(shards[path][number]) for path, number in places]


class PhotographStore(Store):
    """Cut at every reading: a photograph takes what its file takes, however many its crops.

    Args:
        prefix: of a store that the shards are put into; None = they stay among the crops.
    """

    name = "photographs"
    suffix = PhotographShard.SUFFIX

    def __init__(self, prefix: ShardPrefix | None = None) -> None:
        self._prefix = prefix

    def bytes_of(self, photograph: Photograph, settings: CropSettings) -> int:
        """Of the file, or of the shrunk crop that stands for it."""
        if settings.mode == "centre":
            return min(photograph.size, _crop_bytes(photograph, settings))
        return photograph.size

    def make(self, data: bytes, boxes: Sequence[Box], size: Size) -> Kept:
        """The file as it is, as PNG where it is of another format; of a shrunk crop, the crop alone."""
        kept = self.as_it_is(data, boxes, size)
        if kept is not None:
            return kept
        pixels = pixels_of(data)
        if not _shrunk(boxes, size):
            return Kept(as_png(pixels), boxes)
        (box,) = boxes
        return Kept(as_png(cut(pixels, box, size)), [(0, 0, size[1], size[0])])

    def as_it_is(self, data: bytes, boxes: Sequence[Box], size: Size) -> Kept | None:
        """The file, where it is of a known format and no crop is shrunk."""
        known = recognise(data[:32]) in SUFFIXES
        return Kept(data, boxes) if known and not _shrunk(boxes, size) else None

    def writer(self, folder: Path, split: Split, size: Size | None) -> PhotographWriter:
        """Of archives."""
        return PhotographWriter(folder, split, size, self._prefix)

    def copied(self, shards: OpenShards, places: Sequence[tuple[Path, int]]) -> Kept:
        """The photograph's file again."""
        shard = shards[places[0][0]]
        assert isinstance(shard, PhotographShard)
        return shard.kept([number for _, number in places])


def _shrunk(boxes: Sequence[Box], size: Size) -> bool:
    return any(box_size(box) != size for box in boxes)


def _crop_bytes(photograph: Photograph, settings: CropSettings) -> int:
    """Of the pixels of one crop."""
    height, width = crop_size(photograph.width, photograph.height, settings) or (0, 0)
    return 3 * height * width


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """The file of pixels (height, width, 3)."""
    height, width, _ = pixels.shape
    return encode_bands(find_format(Path("it.png")), Layout((height, width)), [pixels])


PIXELS, PHOTOGRAPHS = PixelStore(), PhotographStore()


def choose_store(
    wanted: StoreName,
    photographs: Iterable[Photograph],
    settings: CropSettings,
    folder: Path,
    prefix: ShardPrefix | None = None,
) -> Store:
    """The store that is wanted; says how much disk it takes, and refuses where less is free.

    `auto` takes pixels up to a size, and above it whichever store is smaller. Former crops stay meanwhile;
    photographs for testing, a few whole PNGs, are not counted.

    Args:
        wanted: `data.store`.
        photographs: of training and validation.
        settings: of their crops.
        folder: where they will be.
        prefix: of a store that photographs are put into.

    Raises:
        UserError: they do not fit onto the disk.
    """
    stores: tuple[Store, ...] = (PIXELS, PHOTOGRAPHS)
    needed = dict.fromkeys(stores, 0)
    for each in photographs:
        for one in stores:
            needed[one] += one.bytes_of(each, settings)
    small = needed[PIXELS] <= max(PIXELS_UP_TO_BYTES, needed[PHOTOGRAPHS])
    name = wanted if wanted != "auto" else "pixels" if small else "photographs"
    if prefix:
        print(
            f"The photographs, put into {prefix.url}, take {readable_size(needed[PHOTOGRAPHS])}", flush=True
        )
        return PhotographStore(prefix)
    store: Store = PIXELS if name == "pixels" else PHOTOGRAPHS
    place = next(each for each in folder.absolute().parents if each.exists())
    free, takes = shutil.disk_usage(place).free, readable_size(needed[store])
    print(f"The crops, kept as {name}, take {takes}; {readable_size(free)} are free", flush=True)
    if needed[store] > free:
        other = PHOTOGRAPHS if store is PIXELS else PIXELS
        less = f", set data.store: {other.name}" if needed[other] <= free else ""
        raise UserError(
            f"{folder}: crops of {takes} are to be written and {readable_size(free)} are free; "
            f"free some{less}, or lower data.crop.per_photograph or size_px"
        )
    return store
