"""Photographs to crops: split by scene, cut, and written with a manifest."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import CropSettings, SplitSettings
from arbiscale.data.manifest import Box, Crop, HeldOut, Manifest, Photograph, Rejected, Split, read_record
from arbiscale.data.preview import draw_preview
from arbiscale.data.shards import ShardWriter
from arbiscale.data.split import scene_of, split_scenes
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, sha256_of
from arbiscale.imaging.reading import as_srgb, read_picture
from arbiscale.imaging.writing import write_image
from arbiscale.progress import progress


def crop_boxes(width: int, height: int, settings: CropSettings, *, seed: int, name: str) -> list[Box]:
    """Distinct square boxes inside a photograph, `settings.per_photograph` at most.

    Random ones lie anywhere, also over one another; those of a grid do not overlap and spread from edge to
    edge. Both depend on (seed, name) only. Empty where the photograph is smaller than a crop.
    """
    size = settings.size_px
    if width < size or height < size:
        return []
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
# Held-out photographs come first, so that of two equal ones the copy in training is rejected.
_ORDER: tuple[Split, ...] = ("test", "validation", "train")


def make_crops(
    raw: Path, destination: Path, *, crop: CropSettings, split: SplitSettings, seed: int
) -> Manifest:
    """Fill `destination` with crops for training and validation and whole photographs for testing.

    What cannot be read, is smaller than a crop or repeats another photograph's pixels is listed as rejected.

    Args:
        raw: the photographs and their record, as `arbiscale.data.sources.fetch` leaves them.
        destination: gets `train/*.npy`, `validation/*.npy`, `test/*.png`, `preview.png`, `manifest.json`.
        crop: size, number and placing of the crops.
        split: which scenes are held out.
        seed: of the placing.

    Raises:
        UserError: a named scene does not exist, or a split is left without any photograph.
    """
    photographs = read_record(raw)
    splits = split_scenes(photographs, split)
    with atomic_folder(destination) as folder:
        cutter = _Cutter(raw, folder, crop, seed, Manifest(crop.size_px, [], [], [], [], {}))
        for name in _ORDER:
            members = [each for each in photographs if splits[scene_of(each, split)] == name]
            cutter.cut(members, [scene_of(each, split) for each in members], name)
        _require_all_splits(cutter.manifest)
        cutter.manifest.write(folder)
        write_image(folder / "preview.png", draw_preview(folder, cutter.manifest))
    return cutter.manifest


@dataclass
class _Cutter:
    """Cuts the photographs split by split, and lists in the manifest what it wrote and rejected."""

    raw: Path
    folder: Path
    settings: CropSettings
    seed: int
    manifest: Manifest
    seen: dict[bytes, str] = field(default_factory=dict)  # digest of the pixels -> photograph

    def cut(self, photographs: Sequence[Photograph], scenes: Sequence[str], split: Split) -> None:
        """Write the photographs of one split, whole for testing, else as crops."""
        writer = ShardWriter(self.folder, split)
        pairs = progress(
            zip(photographs, scenes, strict=True), total=len(photographs), doing=f"Cutting ({split})"
        )
        for photograph, scene in pairs:
            try:
                pixels = self._read(photograph)
            except UserError as error:
                reason = str(error).removeprefix(f"{photograph.path(self.raw)}: ")
                self.manifest.rejected.append(Rejected(photograph.name, reason))
                continue
            if photograph.credit:
                self.manifest.credits[photograph.name] = photograph.credit
            if split == "test":
                self._keep_whole(photograph, scene, pixels)
                continue
            height, width, _ = pixels.shape
            for box in crop_boxes(width, height, self.settings, seed=self.seed, name=photograph.name):
                left, top, right, bottom = box
                shard, index = writer.add(pixels[top:bottom, left:right])
                crop = Crop(shard, index, photograph.name, photograph.sha256, scene, box, split)
                self.manifest.crops.append(crop)
        self.manifest.shards.extend(writer.finish())

    def _read(self, photograph: Photograph) -> NDArray[np.uint8]:
        """The pixels; raises UserError where they cannot be used."""
        picture = read_picture(photograph.path(self.raw))
        for problem in picture.problems:
            print(f"warning: {photograph.name}: {problem}", flush=True)
        pixels = as_srgb(picture)
        height, width, _ = pixels.shape
        size = self.settings.size_px
        if width < size or height < size:
            raise UserError(f"is {width} x {height} px, smaller than a crop (data.crop.size_px: {size})")
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
        first = self.seen.setdefault(digest, photograph.name)
        if first != photograph.name:
            raise UserError(f"has the same pixels as {first}")
        return pixels

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
