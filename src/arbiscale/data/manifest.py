"""What is recorded of a source's photographs (`sources.json`) and of a folder of crops (`manifest.json`).

A long list in one of them lies beside it, as Parquet.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from arbiscale.config.sizes import Size, size_name
from arbiscale.errors import UserError, first_line
from arbiscale.files import sha256_of, write_json

RECORD, PHOTOGRAPHS = "sources.json", "photographs.parquet"
LONGEST_LIST = 20_000  # in JSON, which people can read

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
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

    photographs: Sequence[Photograph]
    rejected: list[Rejected]

    def write(self, folder: Path) -> None:
        """Write `sources.json`, and `photographs.parquet` where there are many."""
        photographs = _packed(folder / PHOTOGRAPHS, self.photographs, Photograph)
        rejected = [dataclasses.asdict(each) for each in self.rejected]
        write_json(folder / RECORD, {"photographs": photographs, "rejected": rejected})


def read_record(folder: Path) -> Record:
    """Read a folder's `sources.json`.

    Raises:
        UserError: there is none, or it is not one.
    """
    return _read(folder / RECORD, Record, "download", "photographs", Photograph)


MANIFEST, CROPS = "manifest.json", "crops.parquet"
CARD, PAGE, SHEET = "card.json", "card.html", "preview.png"  # of crops, to look at

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom lie outside


SHARD_BYTES = 256 * 2**20  # at most


@dataclass(frozen=True)
class Shard:
    """A file of crops of one size: uint8 (count, height, width, 3) in NumPy's .npy format, or an archive."""

    file: str  # below the folder
    split: Split
    count: int  # of crops
    sha256: str
    index_sha256: str | None = None  # of the file beside an archive
    size: Size | None = None  # (height, width) of its crops; None = squares of the manifest's crop_px

    @staticmethod
    def file_name(split: Split, size: Size | None, number: int, suffix: str) -> str:
        """Where a split's shards of a size lie, by their numbers."""
        place = split if size is None else f"{split}/{size_name(size)}"
        return f"{place}/{number:05d}{suffix}"


@dataclass(frozen=True, slots=True)
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

    crop_px: int  # data.crop.size_px
    shards: list[Shard]
    crops: Sequence[Crop]
    photographs: list[HeldOut]
    rejected: list[Rejected]
    credits: dict[str, str]  # source -> whom to name wherever it is shown, where that is known
    near_duplicates: list[NearDuplicates] = field(default_factory=list)

    def size_of(self, shard: Shard) -> Size:
        """(height, width) of a shard's crops."""
        return shard.size or (self.crop_px, self.crop_px)

    def sizes(self, split: Split | str) -> dict[Size, int]:
        """How many crops of each size (height, width) a split has, the smallest height first."""
        counts: Counter[Size] = Counter()
        for shard in self.shards:
            if shard.split == split:
                counts[self.size_of(shard)] += shard.count
        return dict(sorted(counts.items()))

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, and `crops.parquet` where there are many."""
        few = dataclasses.asdict(dataclasses.replace(self, crops=[]))
        crops = _packed(folder / CROPS, self.crops, Crop)
        parts = _parts(
            ((each.split, each.source) for each in self.crops),
            ((each.split, each.source) for each in self.photographs),
        )
        named = {split: dataclasses.asdict(part) for split, part in parts.items()}
        write_json(folder / MANIFEST, few | {"crops": crops, "parts": named})


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's `manifest.json`.

    Raises:
        UserError: there is none, or it is not one.
    """
    return _read(folder / MANIFEST, Manifest, "crop", "crops", Crop)


NAMED = 12  # photographs of a split


@dataclass(frozen=True)
class Part:
    """What a split holds: how many crops, of how many photographs, and the first of their names."""

    crops: int
    photographs: int
    names: list[str]


def parts_of(manifest: Mapping[str, Any]) -> dict[str, Part]:
    """The splits of a manifest, from its JSON alone."""
    if "parts" in manifest:
        return {split: Part(**part) for split, part in manifest["parts"].items()}
    crops = ((each["split"], each["source"]) for each in manifest["crops"])  # written before there were parts
    return _parts(crops, ((each["split"], each["source"]) for each in manifest.get("photographs", ())))


def _parts(crops: Iterable[tuple[str, str]], held: Iterable[tuple[str, str]]) -> dict[str, Part]:
    """Of the (split, photograph) of every crop, and of every photograph that is held out whole."""
    counts: Counter[str] = Counter()
    names: dict[str, set[str]] = {}
    for split, name in crops:
        counts[split] += 1
        names.setdefault(split, set()).add(name)
    for split, name in held:
        names.setdefault(split, set()).add(name)
    return {split: Part(counts[split], len(own), sorted(own)[:NAMED]) for split, own in names.items()}


Read = TypeVar("Read")


def _packed(path: Path, rows: Sequence[Any], kind: type[Any]) -> list[dict[str, Any]] | dict[str, Any]:
    """A list as it stands in JSON: itself, or the name and hash of the file that has it."""
    if len(rows) <= LONGEST_LIST:
        return [dataclasses.asdict(each) for each in rows]
    from arbiscale.data.tables import Rows  # late: listing takes no pyarrow

    table = rows if isinstance(rows, Rows) else Rows(kind, rows)
    table.write(path)
    return {"file": path.name, "count": len(table), "sha256": sha256_of(path)}


def _read(path: Path, kind: type[Read], stage: str, key: str, row: type[Any]) -> Read:
    """The JSON file that a stage has written of a dataclass, with the long list of these rows."""
    beside = None
    try:
        values = json.loads(path.read_bytes())
        packed = values.get(key) if isinstance(values, dict) else None
        if not isinstance(packed, dict):
            return TypeAdapter(kind).validate_python(values)
        from arbiscale.data.tables import Rows

        beside = path.parent / packed["file"]
        rows = Rows.read(beside, row)
        read = TypeAdapter(kind).validate_python(values | {key: []})
        return dataclasses.replace(read, **{key: rows})  # type: ignore[type-var]
    except FileNotFoundError:
        missing = path if beside is None else beside
        raise UserError(f"{missing}: no such file; run `dvc repro {stage}`") from None
    except (OSError, ValueError, KeyError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else first_line(error)
        raise UserError(f"{path}: cannot be read ({reason}); run `dvc repro -f -s {stage}`") from None
