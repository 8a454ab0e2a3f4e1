"""What is recorded of a source's photographs (`sources.json`) and of a folder of crops (`manifest.json`)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from arbiscale.errors import UserError
from arbiscale.files import write_json

RECORD = "sources.json"

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Photograph:
    """One original file, where its source has it."""

    name: str  # its path below the source, with forward slashes
    sha256: str  # of the file
    width: int  # in pixels, upright
    height: int
    pixels_sha256: str  # equal for the same pixels in another file
    perceptual_hash: str  # 64 bits in hexadecimal; near for pictures that look alike
    origin: str  # where it came from, without any path of this machine
    licence: str | None = None  # None = unknown: the user's own
    attribution: str | None = None
    scene: str | None = None  # None = by data.split.scene_pattern
    unfit_for_test: str | None = None  # why it must never be a test photograph
    split: Split | None = None  # as published; None = by data.split
    mean_colour: str | None = None  # of these three, see `arbiscale.data.examination.Facts`
    sharpness: float | None = None
    jpeg_quality: int | None = None
    size: int = 0  # of the file, in bytes

    @property
    def credit(self) -> str | None:
        """Whom to name wherever the picture is shown, and its licence."""
        return f"{self.attribution} ({self.licence})" if self.attribution else None


@dataclass(frozen=True)
class Rejected:
    """A photograph that gives no crop, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class Record:
    """All photographs of a source in the order of their names, and what cannot be read of it."""

    photographs: list[Photograph]
    rejected: list[Rejected]

    def write(self, folder: Path) -> None:
        """Write `sources.json`."""
        write_json(folder / RECORD, dataclasses.asdict(self))


def read_record(folder: Path) -> Record:
    """Read a folder's `sources.json`.

    Raises:
        UserError: there is none, or it is not one.
    """
    return _read(folder / RECORD, Record, "download")


MANIFEST = "manifest.json"
CARD, PAGE, SHEET = "card.json", "card.html", "preview.png"  # of crops, to look at

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom lie outside


SHARD_BYTES = 256 * 2**20  # at most


@dataclass(frozen=True)
class Shard:
    """A file of crops: uint8 (count, crop_px, crop_px, 3) in NumPy's .npy format, or an archive."""

    file: str  # below the folder
    split: Split
    count: int  # of crops
    sha256: str
    index_sha256: str | None = None  # of the file beside an archive


@dataclass(frozen=True)
class Crop:
    """One crop and where it was cut."""

    shard: str  # the shard's file
    index: int  # within the shard
    source: str  # the photograph's name
    source_sha256: str
    scene: str
    box: Box
    split: Split


@dataclass(frozen=True)
class HeldOut:
    """A whole test photograph, as PNG."""

    file: str  # below the folder
    sha256: str
    source: str
    source_sha256: str
    scene: str
    split: Split
    width: int
    height: int


@dataclass(frozen=True)
class NearDuplicates:
    """Two photographs of different scenes that look alike."""

    first: str
    second: str
    bits: int  # of 64 in which their perceptual hashes differ
    apart: tuple[Split, Split]  # where each would be by itself
    split: Split  # where both are


@dataclass(frozen=True)
class Manifest:
    """All that a folder of crops holds, in a fixed order."""

    crop_px: int  # side of every crop
    shards: list[Shard]
    crops: list[Crop]
    photographs: list[HeldOut]
    rejected: list[Rejected]
    credits: dict[str, str]  # source -> whom to name wherever it is shown, where that is known
    near_duplicates: list[NearDuplicates] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write `manifest.json`."""
        write_json(folder / MANIFEST, dataclasses.asdict(self))


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's `manifest.json`.

    Raises:
        UserError: there is none, or it is not one.
    """
    return _read(folder / MANIFEST, Manifest, "crop")


Read = TypeVar("Read")


def _read(path: Path, kind: type[Read], stage: str) -> Read:
    """The JSON file that a stage has written of a dataclass."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro {stage}`") from None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UserError(f"{path}: cannot be read ({reason}); run `dvc repro -f -s {stage}`") from None
