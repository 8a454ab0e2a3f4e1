"""Pictures in Parquet files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from arbiscale.data.sources import picture_tables
from arbiscale.data.sources.archives import open_archive
from arbiscale.data.sources.source import UnreadableError
from arbiscale.errors import UserError

PNG = [b"\x89PNG" + bytes([number]) * 1000 for number in range(10)]


def make(path: Path, rows: list[dict[str, Any] | None], name: str = "image", **others: Any) -> Path:
    """As the package `datasets` writes it, three rows a group."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"label": list(range(len(rows))), name: pa.array(rows, kind), **others})
    parquet.write_table(table, path, row_group_size=3, use_dictionary=False, write_statistics=False)
    return path


def rows(paths: bool = False) -> list[dict[str, Any] | None]:
    return [{"bytes": each, "path": f"{number}.PNG" if paths else None} for number, each in enumerate(PNG)]


@pytest.mark.parametrize("paths", [False, True])
def test_every_row_is_a_picture(tmp_path: Path, paths: bool) -> None:
    archive = open_archive(make(tmp_path / "a.parquet", rows(paths)))
    members = list(archive.members())
    assert [each.name for each in members] == [f"{number:08}.png" for number in range(10)]
    assert all(900 < each.size < 1200 for each in members)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(archive.read, (each.name for each in members))) == PNG


def test_few_groups_of_rows_are_in_memory_and_each_is_read_once_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = open_archive(make(tmp_path / "a.parquet", rows(True)))
    picture_tables._group.cache_clear()
    for number, each in enumerate(PNG):
        assert archive.read(f"{number:08}.png") == each
    found = picture_tables._group.cache_info()
    assert (found.misses, found.currsize) == (4, 2)


def test_an_empty_row_is_rejected(tmp_path: Path) -> None:
    archive = open_archive(make(tmp_path / "a.parquet", [{"bytes": None, "path": "0.png"}, None, *rows()]))
    for name in ("00000000.png", "00000001.png"):
        with pytest.raises(UnreadableError, match="is empty in its table"):
            archive.read(name)
    assert archive.read("00000002.png") == PNG[0]


def test_what_holds_no_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: not one of its columns \(text\) holds pictures; name"):
        open_archive(tmp_path / "a.parquet")
    low = pa.array(rows(), pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    with pytest.raises(UserError, match=r"not one of its columns \(hr, lr\) holds pictures"):
        open_archive(make(tmp_path / "b.parquet", rows(), "hr", lr=low))
    for name, size in {"c": 2000, "d": 0}.items():
        os.truncate(make(tmp_path / f"{name}.parquet", rows()), size)
        with pytest.raises(UserError, match=rf"{name}\.parquet: is no archive that can be read"):
            open_archive(tmp_path / f"{name}.parquet")
    monkeypatch.setattr(picture_tables, "LARGEST_GROUP_BYTES", 1000)
    with pytest.raises(UserError, match=r"e\.parquet: a group of rows takes .*; it is not used"):
        open_archive(make(tmp_path / "e.parquet", rows()))


def test_a_damaged_group_of_rows_is_told_from_others(tmp_path: Path) -> None:
    path = make(tmp_path / "a.parquet", rows(True))
    content = bytearray(path.read_bytes())
    start = content.find(PNG[0][:4])
    content[start - 60 : start] = bytes([255]) * 60  # the header of its page
    path.write_bytes(content)
    archive = open_archive(path)
    with pytest.raises(UnreadableError, match="is damaged in its table"):
        archive.read("00000000.png")
    assert archive.read("00000009.png") == PNG[9]


def test_another_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = make(tmp_path / "a.parquet", rows())
    assert open_archive(path).read("00000000.png") == PNG[0]
    make(tmp_path / "b.parquet", rows()[::-1]).replace(path)
    assert open_archive(path).read("00000000.png") == PNG[9]


def test_few_of_many_files_are_open(tmp_path: Path) -> None:
    """A process may hold about 1,000; data sets of the hub have as many."""
    content = make(tmp_path / "0.parquet", rows()).read_bytes()
    for number in range(100):
        (tmp_path / f"{number}.parquet").write_bytes(content)
    archives = [open_archive(tmp_path / f"{number}.parquet") for number in range(100)]
    assert [archive.read("00000003.png") for archive in archives] == [PNG[3]] * 100
    held = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert 0 < sum(name.is_relative_to(tmp_path) for name in held) <= 64
