"""Photographs to crops: split by scene, cut, and written with a manifest."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import CropSettings, SplitSettings
from arbiscale.data.card import write_card
from arbiscale.data.examination import decode
from arbiscale.data.former_crops import FormerCrops
from arbiscale.data.manifest import SHEET, Box, Crop, HeldOut, Manifest, Photograph, Record, Rejected, Split
from arbiscale.data.preview import draw_preview
from arbiscale.data.scan import in_threads
from arbiscale.data.selection import Selection, select
from arbiscale.data.shards import ShardWriter
from arbiscale.data.sources.source import Source, UnreadableError
from arbiscale.data.split import HELD_OUT_FIRST, scene_of
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, sha256_of
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from arbiscale.imaging.writing import write_image
from arbiscale.progress import progress


def crop_boxes(width: int, height: int, settings: CropSettings, *, seed: int, name: str) -> list[Box]:
    """Distinct square boxes inside a photograph, `settings.per_photograph` at most.

    Random ones lie anywhere, also over one another; those of a grid do not overlap and spread from edge to
    edge. Both depend on (seed, name) only. `centre` is the largest one in the middle, to be shrunk to a
    crop. Empty where the photograph is smaller than a crop.
    """
    size = settings.size_px
    if width < size or height < size:
        return []
    if settings.mode == "centre":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return [(left, top, left + side, top + side)]
    entropy = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(entropy))
    if settings.mode == "grid":
        lefts, tops = _spread(width, size), _spread(height, size)
    else:
        lefts, tops = np.arange(width - size + 1), np.arange(height - size + 1)
    places = len(lefts) * len(tops)
    chosen = generator.choice(places, size=min(places, settings.per_photograph), replace=False)
    if settings.mode == "grid":
        chosen.sort()
    corners = [(int(lefts[place % len(lefts)]), int(tops[place // len(lefts)])) for place in chosen]
    return [(left, top, left + size, top + size) for left, top in corners]


def _spread(length: int, size: int) -> np.ndarray:
    """Starts of as many crops as fit side by side, the gaps between them even; a single one is centred."""
    count = length // size
    if count == 1:
        return np.array([(length - size) // 2])
    return np.linspace(0, length - size, count).round().astype(int)


_LONGEST_STEM_BYTES = 200  # of a held-out photograph's file


def make_crops(
    source: Source,
    record: Record,
    destination: Path,
    *,
    crop: CropSettings,
    split: SplitSettings,
    seed: int,
    reuse: bool = False,
) -> tuple[Manifest, int]:
    """Fill `destination` with crops for training and validation and whole photographs for testing.

    What is smaller than a crop, repeats another photograph's pixels or is a benchmark picture is listed as
    rejected, beside what could not be read; only then are scenes split.

    Args:
        source: of the photographs.
        record: what is known of them.
        destination: gets `train/*.npy`, `validation/*.npy`, `test/*.png`, `manifest.json`,
            and to look at `preview.png`, `card.html`, `card.json`.
        crop: size, number and placing of the crops.
        split: which scenes are held out.
        seed: of the placing.
        reuse: what lies in `destination` is of the same code: what it has of a photograph is not cut again.

    Returns:
        The manifest, and how many photographs were read.

    Raises:
        UserError: as `arbiscale.data.selection.select`; the crops do not fit onto the disk;
            a split is left without any photograph, or a photograph is another than when it was listed.
    """
    chosen = select(record, crop, split)
    former = FormerCrops(destination) if reuse else None
    _require_space(destination, chosen, crop, split)
    with atomic_folder(destination) as folder:
        manifest = Manifest(crop.size_px, [], [], [], chosen.rejected, {}, chosen.near_duplicates)
        cutter = _Cutter(source, folder, crop, seed, former, manifest)
        for name in HELD_OUT_FIRST:
            members = [each for each in chosen.photographs if chosen.splits[scene_of(each, split)] == name]
            cutter.cut(members, [scene_of(each, split) for each in members], name)
        _require_all_splits(cutter.manifest)
        cutter.manifest.write(folder)
        write_image(folder / SHEET, draw_preview(folder, cutter.manifest))
        write_card(folder, record.photographs, cutter.manifest)
    return cutter.manifest, cutter.read


def _require_space(folder: Path, chosen: Selection, crop: CropSettings, split: SplitSettings) -> None:
    """Say how much disk the crops take, and refuse where less is free: the former ones stay meanwhile.

    Photographs for testing, a few whole PNGs, are not counted.
    """
    cut = [each for each in chosen.photographs if chosen.splits[scene_of(each, split)] != "test"]
    needed = sum(_count(each, crop) for each in cut) * 3 * crop.size_px**2
    place = next(each for each in folder.absolute().parents if each.exists())
    free = shutil.disk_usage(place).free
    print(f"The crops take {needed / 2**30:.2f} GiB; {free / 2**30:.2f} GiB are free", flush=True)
    if needed > free:
        raise UserError(
            f"{folder}: crops of {needed / 2**30:.2f} GiB are to be cut and {free / 2**30:.2f} GiB are free; "
            "free some, or lower data.crop.per_photograph or size_px"
        )


def _count(photograph: Photograph, settings: CropSettings) -> int:
    """How many boxes `crop_boxes` gives, without drawing them."""
    width, height, size = photograph.width, photograph.height, settings.size_px
    places = {
        "centre": 1,
        "grid": (width // size) * (height // size),
        "random": (width - size + 1) * (height - size + 1),
    }
    return min(settings.per_photograph, places[settings.mode])


@dataclass
class _Cutter:
    """Cuts the photographs split by split, and lists in the manifest what it wrote."""

    source: Source
    folder: Path
    settings: CropSettings
    seed: int
    former: FormerCrops | None
    manifest: Manifest
    read: int = 0

    def cut(self, photographs: Sequence[Photograph], scenes: Sequence[str], split: Split) -> None:
        """Write the photographs of one split, whole for testing, else as crops."""
        writer = ShardWriter(self.folder, split)
        work = self._whole if split == "test" else self._crops_of
        parts = in_threads(work, photographs, self.source.parallel)
        cut = zip(photographs, scenes, parts, strict=True)
        for photograph, scene, (pictures, is_read) in progress(
            cut, total=len(photographs), doing=f"Cutting ({split})"
        ):
            self.read += is_read
            if photograph.credit:
                self.manifest.credits[photograph.name] = photograph.credit
            if split == "test":
                self._keep_whole(photograph, scene, pictures[0])
                continue
            for box, pixels in zip(self._boxes(photograph), pictures, strict=True):
                shard, index = writer.add(pixels)
                crop = Crop(shard, index, photograph.name, photograph.sha256, scene, box, split)
                self.manifest.crops.append(crop)
        self.manifest.shards.extend(writer.finish())

    def _boxes(self, photograph: Photograph) -> list[Box]:
        return crop_boxes(
            photograph.width, photograph.height, self.settings, seed=self.seed, name=photograph.name
        )

    def _crops_of(self, photograph: Photograph) -> tuple[list[NDArray[np.uint8]], bool]:
        """The crops of a photograph, and whether it was read for them."""
        boxes = self._boxes(photograph)
        if self.former and (former := self.former.crops(photograph, boxes, self.settings.size_px)):
            return former, False
        pixels = self._read(photograph)
        return [self._cut(pixels, box) for box in boxes], True

    def _cut(self, pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        """A crop of a photograph, shrunk by PIL's bicubic where its box is larger; never a view of it."""
        left, top, right, bottom = box
        crop, side = pixels[top:bottom, left:right], self.settings.size_px
        if right - left == side:
            return crop.copy()
        shrunk: NDArray[np.uint8] = to_array(resize(to_tensor(crop), (side, side))).astype(np.uint8)
        return shrunk

    def _whole(self, photograph: Photograph) -> tuple[list[NDArray[np.uint8]], bool]:
        """A photograph as it is tested, whole or in mode `centre` its crop, and whether it was read."""
        side, centre = self.settings.size_px, self.settings.mode == "centre"
        size = (side, side) if centre else (photograph.width, photograph.height)
        if self.former and (former := self.former.whole(photograph, size)) is not None:
            return [former], False
        pixels = self._read(photograph)
        return [self._cut(pixels, box) for box in self._boxes(photograph)] if centre else [pixels], True

    def _read(self, photograph: Photograph) -> NDArray[np.uint8]:
        try:
            data = self.source.read(photograph.name)
        except UnreadableError as error:
            raise UserError(f"{photograph.name}: {error}; `dvc repro` lists the photographs again") from None
        if hashlib.sha256(data).hexdigest() != photograph.sha256:
            raise UserError(f"{photograph.name}: has changed since it was listed; `dvc repro` lists it again")
        return decode(data)[0]

    def _keep_whole(self, photograph: Photograph, scene: str, pixels: NDArray[np.uint8]) -> None:
        file = self._free_file(photograph.name)
        write_image(self.folder / file, pixels)
        self.manifest.photographs.append(
            HeldOut(
                file=file,
                sha256=sha256_of(self.folder / file),
                source=photograph.name,
                source_sha256=photograph.sha256,
                scene=scene,
                split="test",
                width=pixels.shape[1],
                height=pixels.shape[0],
            )
        )

    def _free_file(self, name: str) -> str:
        """`test/NAME.png` for a photograph, numbered where another folder holds one of the same name."""
        joined = "_".join(PurePosixPath(name).with_suffix("").parts)
        stem = os.fsencode(joined)[:_LONGEST_STEM_BYTES].decode(errors="ignore")
        numbered = (f"test/{stem}-{number}.png" for number in itertools.count(2))
        files = itertools.chain([f"test/{stem}.png"], numbered)
        return next(file for file in files if not (self.folder / file).exists())


def _require_all_splits(manifest: Manifest) -> None:
    """Fail here rather than after an hour of training: every later stage needs all three splits."""
    present = {crop.split for crop in manifest.crops} | {held.split for held in manifest.photographs}
    missing = [split for split in ("train", "validation", "test") if split not in present]
    if not missing:
        return
    first = f"; rejected: {_describe(manifest.rejected)}" if manifest.rejected else ""
    if "train" in missing:
        raise UserError(f"data.split: no photograph is left for training{first}; hold out fewer or add some")
    key = missing[0]
    raise UserError(
        f"data.split.{key}: no photograph is left for {' and '.join(missing)}{first}; "
        f"name scenes there, or set data.split.{key}_fraction to e.g. 0.1"
    )


def _describe(rejected: Sequence[Rejected]) -> str:
    some = ", ".join(f"{each.source} ({each.reason})" for each in rejected[:2])
    return some + (f" and {len(rejected) - 2} more" if len(rejected) > 2 else "")
