"""Where the pictures of an evaluation come from: held-out photographs, cut into crops, or a user's folder."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.benchmarks import pictures_folder
from arbiscale.data.manifest import Crop, HeldOut, Manifest, Split, read_manifest
from arbiscale.data.shards import StoredCrops, read_crop
from arbiscale.errors import UserError
from arbiscale.evaluation.references import CropsBySize
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures
from arbiscale.imaging.reading import read_image

HeldOutSplit = Literal["test", "validation"]
NAMED = 5  # scenes of a split


@dataclass(frozen=True)
class HeldOutPhotograph:
    """What the stage `crop` left of a photograph: the whole of a test photograph, crops of others.

    Attributes:
        name: its own.
        path: of the whole, or of the folder of crops.
        scene: what it shows.
        size: (height, width) of the whole, or of each crop.
        crops: where there is no whole, the file of each crop and its number in there.
    """

    name: str
    path: Path
    scene: str
    size: Size
    crops: Sequence[tuple[str, int]] = ()

    def files(self, count: int) -> Iterable[tuple[Path, int | None]]:
        """Where `count` pictures are read, as far as there are that many: evenly spread crops."""
        if not self.crops:
            return [(self.path, None)] * count
        chosen = np.linspace(0, len(self.crops) - 1, min(count, len(self.crops))).round().astype(int)
        return [(self.path / file, number) for file, number in (self.crops[each] for each in chosen)]


@dataclass(frozen=True)
class HeldOutPicture:
    """A photograph, or a part of one, that is read when it is measured.

    Attributes:
        name: unique in its data set.
        path: of the photograph, or of a file of crops.
        photograph: its name.
        scene: what it shows; views of one scene resemble each other.
        region: (top, left, height, width) of the part; None = the whole.
        number: of the crop in a file of them.
    """

    name: str
    path: Path
    photograph: str
    scene: str
    region: Region | None = None
    number: int | None = None

    def key(self, place: str) -> dict[str, str]:
        """What identifies it in the table, in a data set of this name."""
        known = {"picture": self.name, "photograph": self.photograph, "scene": self.scene}
        return {"place": place, **known}

    def read(self) -> NDArray[np.uint8]:
        """Its pixels, uint8 (height, width, 3); raises UserError where they cannot be read."""
        pixels = read_image(self.path) if self.number is None else read_crop(self.path, self.number)
        if self.region is None:
            return pixels
        top, left, height, width = self.region
        return pixels[top : top + height, left : left + width]


@dataclass(frozen=True)
class HeldOutData:
    """What the stage `crop` left for evaluation.

    Attributes:
        photographs: of the split that is measured.
        credits: whom to name wherever a photograph is shown, by its name, where that is known.
        training_crops: of the other photographs, uint8 (height, width, 3), by their size.
        scenes: of each split, sorted.
        split: that is measured.
    """

    photographs: Sequence[HeldOutPhotograph]
    credits: Mapping[str, str] = field(default_factory=dict)
    training_crops: CropsBySize = field(default_factory=dict)
    scenes: Mapping[Split, Sequence[str]] = field(default_factory=dict)
    split: HeldOutSplit = "test"

    @property
    def splits(self) -> dict[str, str]:
        """What parameters are chosen on, and what is reported: a phrase each, for people."""
        chosen, reported = (_named(self.scenes.get(split, ())) for split in ("validation", "test"))
        nowhere = "no validation scenes: what these figures decide is decided on the test scenes"
        report = f"test scenes, {reported}" if reported else "no test scenes"
        if self.split == "validation":
            report = f"nothing: these figures, of the validation scenes, are to choose by ({report}, report)"
        return {
            "chosen_on": f"validation scenes, {chosen}" if chosen else nowhere,
            "reported_on": report,
        }


def read_held_out_data(folder: Path, split: HeldOutSplit = "test") -> HeldOutData:
    """Read what a folder of crops holds; pictures are read later.

    Args:
        folder: what the stage `crop` filled.
        split: what is measured: whole test photographs, or crops of the validation photographs.

    Raises:
        UserError: it is missing or damaged.
    """
    manifest = read_manifest(folder)
    scenes: dict[Split, set[str]] = {}
    for each in itertools.chain[Crop | HeldOut](manifest.crops, manifest.photographs):
        scenes.setdefault(each.split, set()).add(each.scene)
    found = _whole(folder, manifest) if split == "test" else _in_crops(folder, manifest)
    return HeldOutData(
        [*found.values()],
        {
            photograph.name: manifest.credits[source]
            for source, photograph in found.items()
            if source in manifest.credits
        },
        {size: StoredCrops(folder, manifest, "train", size) for size in manifest.sizes("train")},
        {name: sorted(known) for name, known in scenes.items()},
        split,
    )


def _whole(folder: Path, manifest: Manifest) -> dict[str, HeldOutPhotograph]:
    """The test photographs, by their sources."""
    return {
        each.source: HeldOutPhotograph(
            Path(each.file).stem, folder / each.file, each.scene, (each.height, each.width)
        )
        for each in manifest.photographs
    }


def _in_crops(folder: Path, manifest: Manifest) -> dict[str, HeldOutPhotograph]:
    """The validation photographs, of which there are crops alone, by their sources."""
    crops: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for each in manifest.crops:
        if each.split == "validation":
            crops.setdefault((each.source, each.scene), []).append((each.shard, each.index))
    sizes = {shard.file: manifest.size_of(shard) for shard in manifest.shards}
    names = _told_apart([PurePath(source) for source, _ in crops])
    return {
        source: HeldOutPhotograph(name, folder, scene, sizes[own[0][0]], own)
        for name, ((source, scene), own) in zip(names, crops.items(), strict=True)
    }


def _told_apart(files: Sequence[PurePath]) -> list[str]:
    """Names of files without their suffixes; with them where two were called alike."""
    stems = [file.with_suffix("").as_posix() for file in files]
    count = Counter(stems)
    return [stem if count[stem] == 1 else file.as_posix() for file, stem in zip(files, stems, strict=True)]


def _named(scenes: Sequence[str]) -> str:
    """How many there are, and the first of them; empty where there are none."""
    more = ", ..." if len(scenes) > NAMED else ""
    return f"{len(scenes)}: {', '.join(scenes[:NAMED])}{more}" if scenes else ""


def cut_held_out_crops(
    photographs: Sequence[HeldOutPhotograph], crop_px: int, per_photograph: int
) -> list[HeldOutPicture]:
    """Crops spread evenly over each photograph (protocol `sample`): the first of each, then the second.

    A photograph is divided into nearly square cells, and each crop lies in the middle of a cell. The same
    photographs give the same crops. Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    corners = partial(_corners, crop_px=crop_px, count=per_photograph)
    crops = _cut(photographs, crop_px, per_photograph, lambda each: corners(*each.size))
    if not crops:
        raise UserError(
            f"evaluate.crop_px: none of {len(photographs)} held-out photographs has {crop_px} px of width "
            "and height; lower it, or hold out larger ones (data.split, data.crop.size_px)"
        )
    return crops


def cut_random_crops(
    photographs: Sequence[HeldOutPhotograph], crop_px: int, per_photograph: int, seed: int
) -> list[HeldOutPicture]:
    """Crops at random places, the same for the same seed and photograph (protocol `crops`).

    Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    corners = partial(_random_corners, crop_px=crop_px, count=per_photograph, seed=seed)
    crops = _cut(photographs, crop_px, per_photograph, corners)
    if not crops:
        raise UserError(
            f"evaluate.protocols: crops: none of {len(photographs)} held-out photographs has {crop_px} px of "
            "width and height; hold out larger ones (data.split, data.crop.size_px)"
        )
    return crops


def pictures_below(place: str, key: str) -> list[HeldOutPicture]:
    """The pictures below a folder, whole, by name.

    Args:
        place: a folder, searched recursively, or the address of an archive of pictures, which is fetched.
        key: of params.yaml, for errors.

    Raises:
        UserError: there is no such folder, or no picture in it.
        UnavailableError: the address cannot be reached.
    """
    root = pictures_folder(place, key)
    if not root.is_dir():
        raise UserError(f"{key}: {place} is not a folder; name one that holds high-resolution pictures")
    paths = find_pictures(root, PHOTOGRAPH_SUFFIXES).files
    if not paths:
        raise UserError(f"{key}: {place} holds no picture; name one that holds high-resolution pictures")
    names = _told_apart([path.relative_to(root) for path in paths])
    return [HeldOutPicture(name, path, name, name) for name, path in zip(names, paths, strict=True)]


def _cut(
    photographs: Sequence[HeldOutPhotograph],
    crop_px: int,
    count: int,
    corners: Callable[[HeldOutPhotograph], Iterable[tuple[int, int]]],
) -> list[HeldOutPicture]:
    """`count` crops of every photograph that is as large as one, at the (top, left) that `corners` gives."""
    crops = []
    for each in photographs:
        places = zip(each.files(count), corners(each), strict=False) if min(each.size) >= crop_px else ()
        for number, ((path, stored), (top, left)) in enumerate(places):
            region = (int(top), int(left), crop_px, crop_px)
            name = f"{each.name}-{number}"
            crops.append((number, HeldOutPicture(name, path, each.name, each.scene, region, stored)))
    return [crop for _, crop in sorted(crops, key=lambda numbered: numbered[0])]


def _corners(height: int, width: int, crop_px: int, count: int) -> list[tuple[int, int]]:
    """(top, left) of `count` crops, in reading order."""
    columns = max(1, min(count, round(math.sqrt(count * width / height))))
    rows = math.ceil(count / columns)
    cells = [divmod(index * rows * columns // count, columns) for index in range(count)]
    return [
        (_start(row, rows, height, crop_px), _start(column, columns, width, crop_px)) for row, column in cells
    ]


def _start(cell: int, cells: int, length: int, crop_px: int) -> int:
    """Where a crop in the middle of a cell starts, moved inside the photograph."""
    return min(max(round((cell + 0.5) * length / cells - crop_px / 2), 0), length - crop_px)


def _random_corners(
    photograph: HeldOutPhotograph, crop_px: int, count: int, seed: int
) -> Iterator[tuple[int, int]]:
    """(top, left) of `count` crops at places drawn from the seed and the photograph's name."""
    spare = np.array(photograph.size) - crop_px
    generator = np.random.default_rng([seed, *photograph.name.encode()])
    yield from generator.integers(spare + 1, size=(count, 2))
