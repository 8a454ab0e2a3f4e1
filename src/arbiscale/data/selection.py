"""Which photographs give crops, and the split of each: no picture that is held out leaks into training."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arbiscale.config.data import CropSettings, FolderSettings, SplitSettings
from arbiscale.config.named import by_name
from arbiscale.data.benchmarks import pictures_folder
from arbiscale.data.boxes import crop_size
from arbiscale.data.examination import examine
from arbiscale.data.manifest import NearDuplicates, Photograph, Record, Rejected, Split
from arbiscale.data.near_duplicates import Hashes, join_near, near, parse_hashes
from arbiscale.data.parallel import in_threads
from arbiscale.data.sources.folder import Folder
from arbiscale.data.split import drawn_split, join_scenes, scene_of, split_scenes, stand_ins
from arbiscale.data.tables import taken
from arbiscale.errors import UserError


@dataclass(frozen=True)
class Selection:
    """What becomes of a source's photographs."""

    photographs: Sequence[Photograph]  # that give crops, in the order of their names
    scenes: list[str]  # of these
    rejected: list[Rejected]
    splits: dict[str, Split]  # of every scene
    near_duplicates: list[NearDuplicates]  # of different scenes
    stand_ins: dict[str, Split]  # scenes that are held out as no hash holds out any


def select(record: Record, crop: CropSettings, split: SplitSettings) -> Selection:
    """Reject first, then split by scene, then bring scenes that look alike into one split.

    Raises:
        UserError: a named scene does not exist, looks like one that is named for another split, or must not
            be tested on; a folder of benchmark pictures cannot be read.
    """
    usable = _usable(record, crop, split)
    photographs, rejected = _without_benchmarks(record, usable, split)
    own = split_scenes(photographs, split, rejected)
    scenes: list[str] = []
    unfit: dict[str, str | None] = {}
    hashes = np.empty(len(photographs), np.uint64)
    fixed = {*split.test, *split.validation}
    for place, photograph in enumerate(photographs):
        scene = scene_of(photograph, split)
        scenes.append(scene)
        unfit[scene] = photograph.unfit_for_test
        hashes[place] = int(photograph.perceptual_hash, 16)
        if photograph.split:
            fixed.add(scene)
    alike = [
        *_same_pixels(record, usable.copies, own, split),
        *_look_alike(photographs, scenes, hashes, split.near_duplicate_bits),
    ]
    for each in alike:  # a scene all of whose pictures are copies counts by its name as well
        own.setdefault(each.second_scene, drawn_split(each.second_scene, split))
        unfit.setdefault(each.second_scene, None)
    pairs = [(each.first_scene, each.second_scene) for each in alike]
    splits = join_scenes(own, pairs, split, unfit)
    standing_in = stand_ins(splits, pairs, own.keys() - fixed, split, unfit)
    splits |= standing_in
    found = [
        NearDuplicates(
            each.first,
            each.second,
            each.bits,
            (own[each.first_scene], own[each.second_scene]),
            splits[each.first_scene],
        )
        for each in alike
    ]
    return Selection(photographs, scenes, rejected, splits, found, standing_in)


@dataclass(frozen=True)
class _Alike:
    """Two photographs of different scenes."""

    first: str
    second: str
    first_scene: str
    second_scene: str
    bits: int  # in which their hashes differ


def _same_pixels(
    record: Record, copies: Mapping[int, int], scenes: Collection[str], split: SplitSettings
) -> Iterator[_Alike]:
    """Those that are left out, and what stays for them: which of both it is must not decide the split."""
    for copy, original in sorted(copies.items()):
        first, second = record.photographs[original], record.photographs[copy]
        first_scene, second_scene = scene_of(first, split), scene_of(second, split)
        if first_scene != second_scene and first_scene in scenes:  # else it is a benchmark picture
            yield _Alike(first.name, second.name, first_scene, second_scene, 0)


def _look_alike(
    photographs: Sequence[Photograph], scenes: Sequence[str], hashes: Hashes, near_bits: int
) -> Iterator[_Alike]:
    """Whose hashes differ in fewer bits."""
    if not near_bits:
        return
    for one, other, bits in join_near(hashes, near_bits - 1):
        if scenes[one] != scenes[other]:
            first, second = photographs[one].name, photographs[other].name
            yield _Alike(first, second, scenes[one], scenes[other], bits)


@dataclass(frozen=True)
class _Usable:
    """Places in a record: of the photographs that give crops, and of the copies of which."""

    places: list[int]
    copies: dict[int, int]
    rejected: list[Rejected]


def _usable(record: Record, crop: CropSettings, split: SplitSettings) -> _Usable:
    """The photographs that give crops, and all that do not.

    Of those with the same pixels the first stays, of a scene that is held out by name before others.
    """
    usable, copies, rejected = list[int](), dict[int, int](), [*record.rejected]
    first: dict[bytes, tuple[int, str]] = {}
    named = dict.fromkeys(split.validation, 1) | dict.fromkeys(split.test, 0)
    for turn in sorted({*named.values(), 2}):
        for place, each in enumerate(record.photographs):
            if named.get(scene_of(each, split), 2) != turn:
                continue
            pixels = bytes.fromhex(each.pixels_sha256)
            if crop_size(each.width, each.height, crop) is None:
                reason = f"is {each.width} x {each.height} px, smaller than a crop ({_wanted(crop)})"
            elif pixels in first:
                copies[place], name = first[pixels]
                reason = f"has the same pixels as {name}"
            else:
                first[pixels] = place, each.name
                usable.append(place)
                continue
            rejected.append(Rejected(each.name, reason))
    return _Usable(sorted(usable), copies, sorted(rejected, key=lambda each: each.source))


def _wanted(crop: CropSettings) -> str:
    """Of which size crops are to be, as params.yaml has it."""
    if crop.shapes:
        return f"data.crop.shapes, height x width: {', '.join(crop.shapes)}"
    return f"data.crop.size_px: {crop.size_px}"


def _without_benchmarks(
    record: Record, usable: _Usable, split: SplitSettings
) -> tuple[Sequence[Photograph], list[Rejected]]:
    """Benchmark pictures are rejected too, except those that are tested on by name, or as published."""
    photographs = taken(record.photographs, usable.places)
    benchmarks = {
        f"{name}/{file}": digest
        for name, place in by_name(split.benchmarks).items()
        for file, digest in _hashes_of(name, place).items()
    }
    if not benchmarks:
        return photographs, usable.rejected
    files = [*benchmarks]
    queries = parse_hashes(each.perceptual_hash for each in photographs)
    others = parse_hashes(benchmarks.values())
    nearest: dict[int, tuple[int, str]] = {}
    for query, other, bits in zip(*near(queries, others, max(split.near_duplicate_bits - 1, 0)), strict=True):
        found = (int(bits), files[other])
        nearest[int(query)] = min(found, nearest.get(int(query), found))
    reasons = [
        Rejected(photographs[place].name, f"is the benchmark picture {benchmark} ({bits} of 64 bits differ)")
        for place, (bits, benchmark) in nearest.items()
        if photographs[place].split != "test" and scene_of(photographs[place], split) not in split.test
    ]
    out = {each.source for each in reasons}
    kept = [place for place, each in enumerate(photographs) if each.name not in out]
    return taken(photographs, kept), sorted([*usable.rejected, *reasons], key=lambda each: each.source)


def _hashes_of(name: str, place: str) -> dict[str, str]:
    """The perceptual hashes of a set's pictures, by file.

    Raises:
        UserError: one of them cannot be read: it would be trained on.
    """
    key = f"data.split.benchmarks: {name}"
    folder = Folder(FolderSettings(path=str(pictures_folder(place, key))), setting=key)
    listing = folder.list()
    for each in listing.rejected:
        raise UserError(f"{key}/{each.source}: {each.reason}")
    files = [entry.name for entry in listing.entries]

    def hash_of(file: str) -> str:
        try:
            return examine(folder.read(file))[0].perceptual_hash
        except UserError as error:
            raise UserError(f"{key}/{file}: {error}") from None

    return dict(zip(files, in_threads(hash_of, files, folder.parallel), strict=True))
