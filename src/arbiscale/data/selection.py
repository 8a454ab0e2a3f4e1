"""Which photographs give crops, and the split of each: no picture that is held out leaks into training."""

from __future__ import annotations

from dataclasses import dataclass

from arbiscale.config.data import CropSettings, FolderSettings, SplitSettings
from arbiscale.config.named import by_name
from arbiscale.data.benchmarks import pictures_folder
from arbiscale.data.examination import examine
from arbiscale.data.manifest import NearDuplicates, Photograph, Record, Rejected, Split
from arbiscale.data.near_duplicates import join_near, near, parse_hashes
from arbiscale.data.parallel import in_threads
from arbiscale.data.sources.folder import Folder
from arbiscale.data.split import join_scenes, scene_of, split_scenes
from arbiscale.errors import UserError


@dataclass(frozen=True)
class Selection:
    """What becomes of a source's photographs."""

    photographs: list[Photograph]  # that give crops, in the order of their names
    rejected: list[Rejected]
    splits: dict[str, Split]  # of every scene
    near_duplicates: list[NearDuplicates]  # of different scenes


def select(record: Record, crop: CropSettings, split: SplitSettings) -> Selection:
    """Reject first, then split by scene, then bring scenes that look alike into one split.

    Raises:
        UserError: a named scene does not exist, looks like one that is named for another split, or must not
            be tested on; a folder of benchmark pictures cannot be read.
    """
    photographs, rejected = _without_benchmarks(*_usable(record, crop, split), split)
    own = split_scenes(photographs, split, rejected)
    scenes = [scene_of(each, split) for each in photographs]
    pairs = []
    if split.near_duplicate_bits:
        hashes = parse_hashes([each.perceptual_hash for each in photographs])
        pairs = [
            (one, other, bits)
            for one, other, bits in join_near(hashes, split.near_duplicate_bits - 1)
            if scenes[one] != scenes[other]
        ]
    unfit = {scene_of(each, split): each.unfit_for_test for each in photographs}
    splits = join_scenes(own, [(scenes[one], scenes[other]) for one, other, _ in pairs], split, unfit)
    found = [
        NearDuplicates(
            photographs[one].name,
            photographs[other].name,
            bits,
            (own[scenes[one]], own[scenes[other]]),
            splits[scenes[one]],
        )
        for one, other, bits in pairs
    ]
    return Selection(photographs, rejected, splits, found)


def _usable(
    record: Record, crop: CropSettings, split: SplitSettings
) -> tuple[list[Photograph], list[Rejected]]:
    """The photographs that give crops, and all that do not.

    Of those with the same pixels the first stays, of a scene that is held out by name before others.
    """
    usable, rejected = [], [*record.rejected]
    first: dict[str, str] = {}
    named = dict.fromkeys(split.validation, 1) | dict.fromkeys(split.test, 0)
    for each in sorted(record.photographs, key=lambda each: (named.get(scene_of(each, split), 2), each.name)):
        if min(each.width, each.height) < crop.size_px:
            size = f"{each.width} x {each.height} px"
            reason = f"is {size}, smaller than a crop (data.crop.size_px: {crop.size_px})"
        elif each.pixels_sha256 in first:
            reason = f"has the same pixels as {first[each.pixels_sha256]}"
        else:
            first[each.pixels_sha256] = each.name
            usable.append(each)
            continue
        rejected.append(Rejected(each.name, reason))
    return sorted(usable, key=lambda each: each.name), sorted(rejected, key=lambda each: each.source)


def _without_benchmarks(
    photographs: list[Photograph], rejected: list[Rejected], split: SplitSettings
) -> tuple[list[Photograph], list[Rejected]]:
    """Benchmark pictures are rejected too, except where their scenes are named for testing."""
    benchmarks = {
        f"{name}/{file}": digest
        for name, place in by_name(split.benchmarks).items()
        for file, digest in _hashes_of(name, place).items()
    }
    asked = [each for each in photographs if scene_of(each, split) not in split.test]
    queries = parse_hashes([each.perceptual_hash for each in asked])
    others = parse_hashes([*benchmarks.values()])
    nearest: dict[str, tuple[int, str]] = {}
    for query, other, bits in zip(*near(queries, others, max(split.near_duplicate_bits - 1, 0)), strict=True):
        found = (int(bits), [*benchmarks][other])
        nearest[asked[query].name] = min(found, nearest.get(asked[query].name, found))
    reasons = [
        Rejected(name, f"is the benchmark picture {benchmark} ({bits} of 64 bits differ)")
        for name, (bits, benchmark) in nearest.items()
    ]
    kept = [each for each in photographs if each.name not in nearest]
    return kept, sorted([*rejected, *reasons], key=lambda each: each.source)


def _hashes_of(name: str, place: str) -> dict[str, str]:
    """The perceptual hashes of a set's pictures, by file."""
    key = f"data.split.benchmarks: {name}"
    folder = Folder(FolderSettings(path=str(pictures_folder(place, key))), setting=key)
    files = [entry.name for entry in folder.list().entries]

    def hash_of(file: str) -> str:
        try:
            return examine(folder.read(file))[0].perceptual_hash
        except UserError as error:
            raise UserError(f"{key}/{file}: {error}") from None

    return dict(zip(files, in_threads(hash_of, files, folder.parallel), strict=True))
