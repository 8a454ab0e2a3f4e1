"""Rows in columns, in memory and as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arbiscale.data import tables
from arbiscale.data.dataset import CropDataset
from arbiscale.data.manifest import Crop, Manifest, read_manifest, read_record
from arbiscale.data.tables import Rows
from arbiscale.errors import UserError
from tests.data.test_crops import digests


@dataclass(frozen=True)
class Thing:
    name: str
    place: tuple[int, int, int]
    split: Literal["train", "test"]
    weight: float | None = None
    count: int | None = None


THINGS = [
    Thing(f"ä{number % 4}", (number, -number, 0), "train", number / 3, None if number % 3 else number)
    for number in range(11)
]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_PER_BATCH", 4)


def test_they_read_as_a_list():
    rows = Rows(Thing, THINGS)
    assert len(rows) == 11
    assert [*rows] == THINGS
    assert rows == THINGS
    assert rows == THINGS
    assert [rows[place] for place in (-11, 3, 4, 7, -1)] == [THINGS[place] for place in (0, 3, 4, 7, 10)]
    assert rows[2:11:4] == THINGS[2:11:4]
    assert rows != THINGS[:-1]
    assert rows != [*THINGS[:-1], replace(THINGS[-1], weight=None)]
    for place in (11, -12):
        with pytest.raises(IndexError):
            rows[place]


def test_a_file_gives_the_same_rows_and_the_same_bytes(tmp_path: Path):
    Rows(Thing, THINGS).write(tmp_path / "one.parquet")
    read = Rows.read(tmp_path / "one.parquet", Thing)
    assert read == THINGS
    read.append(THINGS[0])
    assert read[11] == THINGS[0]
    Rows(Thing, THINGS).write(tmp_path / "other.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert pq.read_table(tmp_path / "one.parquet").column_names == [
        "name",
        "place",
        "split",
        "weight",
        "count",
    ]


def test_none_is_a_file_as_well(tmp_path: Path):
    Rows(Thing).write(tmp_path / "none.parquet")
    assert Rows.read(tmp_path / "none.parquet", Thing) == []


def test_other_columns_are_refused(tmp_path: Path):
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="holds no Thing"):
        Rows.read(tmp_path / "other.parquet", Thing)


def test_crops_take_a_tenth_of_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_PER_BATCH", 1000)
    before = pa.total_allocated_bytes()
    rows = Rows(Crop)
    for number in range(4000):
        photograph = f"photographs/{number // 40}.jpg"
        rows.append(
            Crop("train/00000.npy", number, photograph, "0" * 64, photograph, (0, 0, 64, 64), "train")
        )
    assert (pa.total_allocated_bytes() - before) / len(rows) < 60  # of 600


def test_long_lists_lie_beside_their_json(
    cut: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    short = cut("short")
    monkeypatch.setattr("arbiscale.data.manifest.LONGEST_LIST", 4)
    long = cut("crops")
    assert short == long == read_manifest(tmp_path / "short") == read_manifest(tmp_path / "crops")
    assert [path.name for path in tmp_path.rglob("*.parquet")] == ["photographs.parquet", "crops.parquet"]
    assert len(read_record(tmp_path / "raw").photographs) == 5
    assert '"sha256"' in (tmp_path / "crops/manifest.json").read_text()
    cut("crops", reuse=True)
    assert digests(tmp_path / "crops") == digests(tmp_path / "short") | {
        name: digest
        for name, digest in digests(tmp_path / "crops").items()
        if name in ("manifest.json", "crops.parquet")
    }
    assert len(CropDataset(tmp_path / "crops", "train", None, seed=0)) == 18
    (tmp_path / "crops/crops.parquet").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read \(.*Parquet.*; run `dvc"):
        read_manifest(tmp_path / "crops")
    (tmp_path / "crops/crops.parquet").unlink()
    with pytest.raises(UserError, match=r"crops\.parquet: no such file; run `dvc repro crop`"):
        read_manifest(tmp_path / "crops")
