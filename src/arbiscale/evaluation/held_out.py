"""Where the pictures of an evaluation come from: held-out photographs, cut into crops, or a user's folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Crop, HeldOut, Split, read_manifest
from arbiscale.data.shards import StoredCrops
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures
from arbiscale.imaging.reading import read_image
from arbiscale.workspace import repository_root

NAMED = 5  # scenes of a split


@dataclass(frozen=True)
class HeldOutPhotograph:
    """A test photograph that the stage `crop` left."""

    name: str
    path: Path
    scene: str
    size: Size


@dataclass(frozen=True)
class HeldOutPicture:
    """A photograph, or a part of one, that is read when it is measured.

    Attributes:
        name: unique in its data set.
        path: of the photograph.
        photograph: its name.
        scene: what it shows; views of one scene resemble each other.
        region: (top, left, height, width) of the part; None = the whole.
    """

    name: str
    path: Path
    photograph: str
    scene: str
    region: Region | None = None

    def key(self, place: str) -> dict[str, str]:
        """What identifies it in the table, in a data set of this name."""
        known = {"picture": self.name, "photograph": self.photograph, "scene": self.scene}
        return {"place": place, **known}

    def read(self) -> NDArray[np.uint8]:
        """Its pixels, uint8 (height, width, 3); raises UserError where they cannot be read."""
        pixels = read_image(self.path)
        if self.region is None:
            return pixels
        top, left, height, width = self.region
        return pixels[top : top + height, left : left + width]


@dataclass(frozen=True)
class HeldOutData:
    """What the stage `crop` left for evaluation.

    Attributes:
        photographs: for the test.
        credits: whom to name wherever a photograph is shown, by its name, where that is known.
        training_crops: of the other photographs, square, uint8 (crop_px, crop_px, 3).
        scenes: of each split, sorted.
    """

    photographs: Sequence[HeldOutPhotograph]
    credits: Mapping[str, str] = field(default_factory=dict)
    training_crops: Sequence[NDArray[np.uint8]] = ()
    scenes: Mapping[Split, Sequence[str]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, str]:
        """What parameters are chosen on, and what is reported: a phrase each, for people."""
        chosen, reported = (_named(self.scenes.get(split, ())) for split in ("validation", "test"))
        nowhere = "no validation scenes: what these figures decide is decided on the test scenes"
        return {
            "chosen_on": f"validation scenes, {chosen}" if chosen else nowhere,
            "reported_on": f"test scenes, {reported}" if reported else "no test scenes",
        }


def read_held_out_data(folder: Path) -> HeldOutData:
    """Read what a folder of crops holds; photographs are read later.

    Raises:
        UserError: it is missing or damaged.
    """
    manifest = read_manifest(folder)
    sources = {Path(each.file).stem: each.source for each in manifest.photographs}
    scenes: dict[Split, set[str]] = {}
    held: Sequence[Crop | HeldOut] = (*manifest.crops, *manifest.photographs)
    for each in held:
        scenes.setdefault(each.split, set()).add(each.scene)
    return HeldOutData(
        [
            HeldOutPhotograph(Path(each.file).stem, folder / each.file, each.scene, (each.height, each.width))
            for each in manifest.photographs
        ],
        {name: manifest.credits[source] for name, source in sources.items() if source in manifest.credits},
        StoredCrops(folder, manifest, "train"),
        {split: sorted(found) for split, found in scenes.items()},
    )


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
    crops = _cut(photographs, crop_px, lambda each: _corners(*each.size, crop_px, per_photograph))
    if not crops:
        raise UserError(
            f"evaluate.crop_px: none of {len(photographs)} test photographs is {crop_px} px wide and high; "
            "lower it, or name larger ones in data.split.test"
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
    crops = _cut(photographs, crop_px, lambda each: _random_corners(each, crop_px, per_photograph, seed))
    if not crops:
        raise UserError(
            f"evaluate.protocols: crops: none of {len(photographs)} test photographs is {crop_px} px wide "
            "and high; name larger ones in data.split.test"
        )
    return crops


def pictures_below(folder: str, key: str) -> list[HeldOutPicture]:
    """The pictures below a folder, whole, by name; a relative path counts from the repository.

    Args:
        folder: searched recursively.
        key: of params.yaml, for errors.

    Raises:
        UserError: there is no such folder, or no picture in it.
    """
    root = repository_root() / Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"{key}: {folder} is not a folder; name one that holds high-resolution pictures")
    paths = find_pictures(root, PHOTOGRAPH_SUFFIXES).files
    if not paths:
        raise UserError(f"{key}: {folder} holds no picture; name one that holds high-resolution pictures")
    names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    return [HeldOutPicture(name, path, name, name) for name, path in zip(names, paths, strict=True)]


def _cut(
    photographs: Sequence[HeldOutPhotograph],
    crop_px: int,
    corners: Callable[[HeldOutPhotograph], Iterable[tuple[int, int]]],
) -> list[HeldOutPicture]:
    """The crops of every photograph that is as large as one, at the (top, left) that `corners` gives."""
    crops = [
        (number, HeldOutPicture(f"{each.name}-{number}", each.path, each.name, each.scene, region))
        for each in photographs
        if min(each.size) >= crop_px
        for number, (top, left) in enumerate(corners(each))
        for region in [(int(top), int(left), crop_px, crop_px)]
    ]
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
