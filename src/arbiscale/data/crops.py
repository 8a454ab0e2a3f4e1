"""Photographs to crops: split by scene, cut, and written with a manifest."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from arbiscale.config.data import CropSettings, SplitSettings, StoreName
from arbiscale.config.sizes import Size
from arbiscale.data.boxes import crop_boxes, crop_size, cut
from arbiscale.data.card import write_card
from arbiscale.data.examination import pixels_of
from arbiscale.data.former_crops import FormerCrops, Whole, whole
from arbiscale.data.manifest import SHEET, Box, Crop, HeldOut, Manifest, Photograph, Record, Rejected, Split
from arbiscale.data.parallel import ALONE, Engine, Ready, read_and_compute
from arbiscale.data.preview import draw_preview
from arbiscale.data.remote_shards import ShardPrefix
from arbiscale.data.selection import Selection, select
from arbiscale.data.sources.source import Source, UnreadableError
from arbiscale.data.split import HELD_OUT_FIRST
from arbiscale.data.stores import Store, Writer, choose_store
from arbiscale.data.tables import Rows, taken
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder
from arbiscale.imaging.writing import write_image
from arbiscale.progress import progress

_LONGEST_STEM_BYTES = 200  # of a held-out photograph's file


def make_crops(
    source: Source,
    record: Record,
    destination: Path,
    *,
    crop: CropSettings,
    split: SplitSettings,
    seed: int,
    store: StoreName = "pixels",
    prefix: ShardPrefix | None = None,
    engine: Engine = ALONE,
    reuse: bool = False,
) -> tuple[Manifest, int]:
    """Fill `destination` with crops for training and validation and whole photographs for testing.

    What is smaller than a crop, repeats another photograph's pixels or is a benchmark picture is listed as
    rejected, beside what could not be read; only then are scenes split.

    Args:
        source: of the photographs.
        record: what is known of them.
        destination: gets shards in `train/` and `validation/`, `test/*.png`, `manifest.json`,
            and to look at `preview.png`, `card.html`, `card.json`.
        crop: sizes, number and placing of the crops.
        split: which scenes are held out.
        seed: of the placing.
        store: how crops are kept; see `arbiscale.data.stores`.
        prefix: of a store that shards of photographs are put into, pointers to them instead.
        engine: that decodes and cuts; see `arbiscale.data.parallel`.
        reuse: what lies in `destination` is of the same code: what it has of a photograph is not cut again.

    Returns:
        The manifest, and how many photographs were read.

    Raises:
        UserError: as `arbiscale.data.selection.select`; the crops do not fit onto the disk;
            a split is left without any photograph, or a photograph is another than when it was listed.
    """
    chosen = select(record, crop, split)
    if chosen.stand_ins:
        print(_standing_in(chosen.stand_ins), flush=True)
    places: dict[Split, list[int]] = {name: [] for name in HELD_OUT_FIRST}
    for place, scene in enumerate(chosen.scenes):
        places[chosen.splits[scene]].append(place)
    _require_all_splits(chosen, places)
    members = {name: taken(chosen.photographs, own) for name, own in places.items()}
    stored = itertools.chain(members["validation"], members["train"])
    keeping = choose_store(store, stored, crop, destination, prefix)
    former = FormerCrops(destination, keeping) if reuse else None
    with atomic_folder(destination) as folder:
        rows = Rows(Crop)
        manifest = Manifest(crop.size_px, [], rows, [], chosen.rejected, {}, chosen.near_duplicates)
        cutter = _Cutter(source, folder, crop, seed, keeping, former, manifest, rows, engine)
        for name in HELD_OUT_FIRST:
            cutter.cut(members[name], [chosen.scenes[place] for place in places[name]], name)
        cutter.manifest.write(folder)
        write_image(folder / SHEET, draw_preview(folder, cutter.manifest))
        write_card(folder, record.photographs, cutter.manifest)
    return cutter.manifest, cutter.read


def _standing_in(scenes: Mapping[str, Split]) -> str:
    """Which scenes are held out for want of others, in one line."""
    named = ", ".join(f"{scene} for {split}" for scene, split in sorted(scenes.items()))
    return (
        f"WARNING: data.split: too few scenes for its fractions: {named} until photographs are added "
        "whose hash is lower; name them in data.split to keep them there"
    )


@dataclass(frozen=True)
class _Work:
    """A photograph's file, and what is cut from it."""

    data: bytes
    boxes: Sequence[Box]
    size: Size  # of a crop


def _make(store: Store, work: _Work) -> Any:
    """What a store keeps of a photograph for training or validation."""
    return store.make(work.data, work.boxes, work.size)


def _make_whole(work: _Work) -> Whole:
    """A photograph as it is tested: whole, or in mode `centre` its crop."""
    pixels = pixels_of(work.data)
    return whole(cut(pixels, work.boxes[0], work.size) if work.boxes else pixels)


@dataclass
class _Cutter:
    """Cuts the photographs split by split, and lists in the manifest what it wrote."""

    source: Source
    folder: Path
    settings: CropSettings
    seed: int
    store: Store
    former: FormerCrops | None
    manifest: Manifest
    crops: Rows[Crop]  # of the manifest
    engine: Engine
    read: int = 0
    counting: Lock = field(default_factory=Lock)  # photographs are read in threads

    def cut(self, photographs: Sequence[Photograph], scenes: Sequence[str], split: Split) -> None:
        """Write the photographs of one split, whole for testing, else as crops."""
        writers: dict[Size, Writer] = {}
        tested = split == "test"
        parts = read_and_compute(
            self._whole if tested else self._to_cut,
            _make_whole if tested else partial(_make, self.store),
            photographs,
            threads=self.source.parallel,
            engine=self.engine,
        )
        made = zip(photographs, scenes, parts, strict=True)
        for photograph, scene, part in progress(made, total=len(photographs), doing=f"Cutting ({split})"):
            if photograph.credit:
                self.manifest.credits[photograph.name] = photograph.credit
            if tested:
                self._keep_whole(photograph, scene, part)
                continue
            size = self._size(photograph)
            if size not in writers:
                square = (self.settings.size_px, self.settings.size_px)
                writers[size] = self.store.writer(self.folder, split, None if size == square else size)
            for box, (shard, index) in zip(self._boxes(photograph), writers[size].add(part), strict=True):
                crop = Crop(shard, index, photograph.name, photograph.sha256, scene, box, split)
                self.crops.append(crop)
        for size in sorted(writers):
            self.manifest.shards.extend(writers[size].finish())

    def _size(self, photograph: Photograph) -> Size:
        """Of its crops; smaller photographs are not selected."""
        size = crop_size(photograph.width, photograph.height, self.settings)
        assert size is not None, photograph.name
        return size

    def _boxes(self, photograph: Photograph) -> list[Box]:
        return crop_boxes(
            photograph.width, photograph.height, self.settings, seed=self.seed, name=photograph.name
        )

    def _to_cut(self, photograph: Photograph) -> _Work | Ready[Any]:
        """What crops are cut from, or what is left of them."""
        boxes, size = self._boxes(photograph), self._size(photograph)
        former = self.former and self.former.crops(photograph, boxes, size)
        if former:
            return Ready(former)
        data = self._read(photograph)
        kept = self.store.as_it_is(data, boxes, size)
        return Ready(kept) if kept else _Work(data, boxes, size)

    def _whole(self, photograph: Photograph) -> _Work | Ready[Whole]:
        """What a test photograph is made of, or what is left of it."""
        centre = self.settings.mode == "centre"
        size = self._size(photograph) if centre else (photograph.height, photograph.width)
        former = self.former and self.former.whole(photograph, size)
        if former:
            return Ready(former)
        return _Work(self._read(photograph), self._boxes(photograph) if centre else [], size)

    def _read(self, photograph: Photograph) -> bytes:
        try:
            data = self.source.read(photograph.name)
        except UnreadableError as error:
            raise UserError(f"{photograph.name}: {error}; `dvc repro` lists the photographs again") from None
        if hashlib.sha256(data).hexdigest() != photograph.sha256:
            raise UserError(f"{photograph.name}: has changed since it was listed; `dvc repro` lists it again")
        with self.counting:
            self.read += 1
        return data

    def _keep_whole(self, photograph: Photograph, scene: str, made: Whole) -> None:
        file = self._free_file(photograph.name)
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made.data)
        self.manifest.photographs.append(
            HeldOut(
                file=file,
                sha256=hashlib.sha256(made.data).hexdigest(),
                source=photograph.name,
                source_sha256=photograph.sha256,
                scene=scene,
                split="test",
                width=made.width,
                height=made.height,
            )
        )

    def _free_file(self, name: str) -> str:
        """`test/NAME.png` for a photograph, numbered where another folder holds one of the same name."""
        joined = "_".join(PurePosixPath(name).with_suffix("").parts)
        stem = os.fsencode(joined)[:_LONGEST_STEM_BYTES].decode(errors="ignore")
        numbered = (f"test/{stem}-{number}.png" for number in itertools.count(2))
        files = itertools.chain([f"test/{stem}.png"], numbered)
        return next(file for file in files if not (self.folder / file).exists())


def _require_all_splits(chosen: Selection, places: Mapping[Split, Sequence[int]]) -> None:
    """Fail here rather than after hours of cutting or training: every later stage needs all three splits."""
    missing = [split for split in reversed(HELD_OUT_FIRST) if not places[split]]
    if not missing:
        return
    first = f"; rejected: {_describe(chosen.rejected)}" if chosen.rejected else ""
    moved = sum(pair.apart != (pair.split, pair.split) for pair in chosen.near_duplicates)
    if moved:
        first += f"; {moved} of other splits look alike and share one (data.split.near_duplicate_bits)"
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
