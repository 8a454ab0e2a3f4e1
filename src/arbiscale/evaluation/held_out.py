"""Where the pictures of an evaluation come from: held-out photographs, cut into crops, or a user's folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.data.manifest import read_manifest
from arbiscale.data.shards import StoredCrops
from arbiscale.errors import UserError
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.reading import read_image
from arbiscale.workspace import repository_root


@dataclass(frozen=True)
class HeldOutData:
    """What the stage `crop` left for evaluation.

    Attributes:
        photographs: the test photographs by name, uint8 (height, width, 3).
        credits: whom to name wherever a photograph is shown, by its name, where that is known.
        training_crops: of the other photographs, square, uint8 (crop_px, crop_px, 3).
    """

    photographs: Mapping[str, NDArray[np.uint8]]
    credits: Mapping[str, str] = field(default_factory=dict)
    training_crops: Sequence[NDArray[np.uint8]] = ()


def read_held_out_data(folder: Path) -> HeldOutData:
    """Read a folder of crops.

    Raises:
        UserError: it is missing or damaged.
    """
    manifest = read_manifest(folder)
    sources = {Path(each.file).stem: each.source for each in manifest.photographs}
    return HeldOutData(
        {Path(each.file).stem: read_image(folder / each.file) for each in manifest.photographs},
        {name: manifest.credits[source] for name, source in sources.items() if source in manifest.credits},
        StoredCrops(folder, manifest, "train"),
    )


@dataclass(frozen=True)
class HeldOutCrop:
    """A square part of a held-out photograph, or a whole one.

    Attributes:
        photograph: its name.
        pixels: uint8 (height, width, 3).
        number: of the part.
    """

    photograph: str
    pixels: NDArray[np.uint8]
    number: int = 0

    @property
    def name(self) -> str:
        """Unique in its data set."""
        return f"{self.photograph}#{self.number}"


def cut_held_out_crops(
    photographs: Mapping[str, NDArray[np.uint8]], crop_px: int, per_photograph: int
) -> list[HeldOutCrop]:
    """Cut crops spread evenly over each photograph, photograph by photograph (protocol `sample`).

    A photograph is divided into nearly square cells, and each crop lies in the middle of a cell. The same
    photographs give the same crops. Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    crops = _cut(
        photographs,
        crop_px,
        lambda name, pixels: _corners(pixels.shape[0], pixels.shape[1], crop_px, per_photograph),
    )
    if not crops:
        raise UserError(
            f"evaluate.crop_px: none of {len(photographs)} test photographs is {crop_px} px wide and high; "
            "lower it, or name larger ones in data.split.test"
        )
    return crops


def cut_random_crops(
    photographs: Mapping[str, NDArray[np.uint8]], crop_px: int, per_photograph: int, seed: int
) -> list[HeldOutCrop]:
    """Cut crops at random places, the same for the same seed and photograph (protocol `crops`).

    Photographs smaller than a crop are left out.

    Raises:
        UserError: none is as large as a crop.
    """
    crops = _cut(
        photographs,
        crop_px,
        lambda name, pixels: _random_corners(name, pixels, crop_px, per_photograph, seed),
    )
    if not crops:
        raise UserError(
            f"evaluate.protocols: crops: none of {len(photographs)} test photographs is {crop_px} px wide "
            "and high; name larger ones in data.split.test"
        )
    return crops


class PictureFolder(Sequence[HeldOutCrop]):
    """The pictures below a folder, whole, by name; each is read when it is asked for."""

    def __init__(self, folder: str, key: str) -> None:
        """Find the pictures; a relative path counts from the repository.

        Args:
            folder: searched recursively.
            key: of params.yaml, for errors.

        Raises:
            UserError: there is no such folder, or no picture in it.
        """
        self._root = repository_root() / Path(folder).expanduser()
        if not self._root.is_dir():
            raise UserError(f"{key}: {folder} is not a folder; name one that holds high-resolution pictures")
        self._paths = find_pictures(self._root, PHOTOGRAPH_SUFFIXES).files
        if not self._paths:
            raise UserError(f"{key}: {folder} holds no picture; name one that holds high-resolution pictures")

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> HeldOutCrop:  # type: ignore[override]  # no slices
        """Read a picture; raises UserError where it cannot be read."""
        path = self._paths[index]
        name = path.relative_to(self._root).with_suffix("").as_posix()
        return HeldOutCrop(name, read_image(path))


def stack(crops: Sequence[HeldOutCrop]) -> Tensor:
    """The crops as one tensor (crops, 3, crop_px, crop_px) in [-1, 1]."""
    return torch.cat([to_tensor(crop.pixels) for crop in crops])


def _cut(
    photographs: Mapping[str, NDArray[np.uint8]],
    crop_px: int,
    corners: Callable[[str, NDArray[np.uint8]], Iterable[tuple[int, int]]],
) -> list[HeldOutCrop]:
    """The crops of every photograph that is as large as one, at the (top, left) that `corners` gives."""
    return [
        HeldOutCrop(name, pixels[top : top + crop_px, left : left + crop_px], number)
        for name, pixels in photographs.items()
        if min(pixels.shape[:2]) >= crop_px
        for number, (top, left) in enumerate(corners(name, pixels))
    ]


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
    name: str, pixels: NDArray[np.uint8], crop_px: int, count: int, seed: int
) -> Iterator[tuple[int, int]]:
    """(top, left) of `count` crops at places drawn from the seed and the photograph's name."""
    spare = np.array(pixels.shape[:2]) - crop_px
    yield from np.random.default_rng([seed, *name.encode()]).integers(spare + 1, size=(count, 2))
