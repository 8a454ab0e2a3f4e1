"""Archives of pictures, harmless and hostile ones."""

import bz2
import gzip
import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arbiscale.data.sources import archives
from arbiscale.data.sources.archives import is_archive, open_archive, stem_of, unpack
from arbiscale.data.sources.source import UnreadableError
from arbiscale.errors import UserError
from tests.full_disk import full_disk

FILES = {f"set/{name}.png": name.encode() * 1000 for name in "abcd"}


def make_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.mkdir("set")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], prefix: str = "./") -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(directory("./set"))
        for name, data in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    compress = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(compress(content.getvalue()))
    return path


def directory(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def make(path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2"])
def test_members_are_read_in_place(tmp_path: Path, name: str) -> None:
    archive = open_archive(make(tmp_path / name, FILES))
    assert {each.name: each.size for each in archive.members()} == dict.fromkeys(FILES, 1000)
    assert not any(each.problem for each in archive.members())
    with ThreadPoolExecutor(8) as pool:  # each reads its own
        for _ in range(20):
            assert list(pool.map(archive.read, FILES)) == list(FILES.values())
    copies = [path.name for path in tmp_path.iterdir() if path.name != name]
    assert len(copies) == (name[-2:] in ("gz", "z2"))
    assert all(each.startswith(f".{name}.") for each in copies)


def test_members_below_the_present_folder_are_called_without_it(tmp_path: Path) -> None:
    """As `zip -r ../a.zip .` and `tar c .` name them; tar's are tested above."""
    archive = open_archive(make_zip(tmp_path / "a.zip", {f"./{name}": FILES[name] for name in FILES}))
    assert [(each.name, each.problem) for each in archive.members()] == [(name, "") for name in FILES]
    assert [archive.read(name) for name in FILES] == [*FILES.values()]


def test_a_compressed_tar_archive_is_decompressed_once(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar.gz", FILES)
    open_archive(path)
    (copy,) = tmp_path.glob(".a.tar.gz.*.tar")
    before = copy.stat().st_ino
    open_archive(path)
    assert copy.stat().st_ino == before


def test_another_archive_in_its_place_is_decompressed_anew(tmp_path: Path) -> None:
    """Also where it is older than the copy, as what was moved there is."""
    path = make_tar(tmp_path / "a.tar.gz", FILES)
    open_archive(path)
    make_tar(path, {"set/other.png": bytes(1000)})
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert [each.name for each in open_archive(path).members()] == ["set/other.png"]
    assert len([*tmp_path.iterdir()]) == 2  # the former copy is gone


def test_stamps_follow_the_content(tmp_path: Path) -> None:
    before = [each.stamp for each in open_archive(make_zip(tmp_path / "a.zip", FILES)).members()]
    other = open_archive(make_zip(tmp_path / "b.zip", FILES | {"set/b.png": b"x" * 1000}))
    changed = [new != old for new, old in zip((each.stamp for each in other.members()), before, strict=True)]
    assert changed == [False, True, False, False]


@pytest.mark.parametrize("suffix", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../up.png", "/etc/root.png", "set/../../up.png", "a//b.png"])
def test_names_that_lead_out_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a.{suffix}"
    archive = open_archive(
        make_zip(path, {name: b"x"}) if suffix == "zip" else make_tar(path, {name: b"x"}, "")
    )
    assert [each.problem for each in archive.members()] == ["its name leads out of the archive"]
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in {
            "soft.png": tarfile.SYMTYPE,
            "hard.png": tarfile.LNKTYPE,
            "pipe.png": tarfile.FIFOTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    problems = {each.name: each.problem for each in open_archive(tmp_path / "a.tar").members()}
    assert problems == {"soft.png": "is a link", "hard.png": "is a link", "pipe.png": "is no regular file"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("soft.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert [each.problem for each in open_archive(tmp_path / "a.zip").members()] == ["is a link"]


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = make_zip(tmp_path / "a.zip", {"set/a.png": bytes(2_000_000)})
    monkeypatch.setattr(archives, "LARGEST_MEMBER_BYTES", 1_000_000)
    assert [each.problem for each in open_archive(bomb).members()] == ["would become 1.9 MiB"]
    bomb = make_tar(tmp_path / "a.tar.gz", {"set/a.png": bytes(2_000_000)})
    with pytest.raises(UserError, match=r"a\.tar\.gz: becomes more than 100 times as large; it is not used"):
        open_archive(bomb)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "a.zip"]
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(UserError, match=r"b\.zip: claims to hold 5 files, more than 2; it is not used"):
        open_archive(make_zip(tmp_path / "b.zip", FILES))
    with pytest.raises(UserError, match=r"b\.tar: claims to hold 3 files, more than 2"):
        open_archive(make_tar(tmp_path / "b.tar", FILES))


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.png": bytes(100_000)})
    content = bytearray(path.read_bytes())
    for place in (content.find(b"PK\x03\x04") + 22, content.rfind(b"PK\x01\x02") + 24):
        content[place : place + 4] = (10).to_bytes(4, "little")  # uncompressed size
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match="is damaged in its archive"):
        open_archive(path).read("a.png")


@pytest.mark.parametrize("size", [-1, -512, -1024])
def test_a_member_of_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header + bytes(10240))
    with pytest.raises(UserError, match=r"a\.tar: .*; delete it"):
        open_archive(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_is_no_archive_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(UserError, match=rf"{name}: is no archive that can be read \(.*\); delete it"):
        open_archive(tmp_path / name)
    make(tmp_path / name, FILES)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size // 2)
    with pytest.raises(UserError, match=rf"{name}: is no archive that can be read \(.*\); delete it"):
        open_archive(tmp_path / name)


def test_a_damaged_member_is_told_from_others(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", FILES, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"b" * 1000, b"b" * 999 + b"x"))
    archive = open_archive(path)
    assert archive.read("set/a.png") == FILES["set/a.png"]
    with pytest.raises(UnreadableError, match=r"is damaged in its archive \(Bad CRC-32"):
        archive.read("set/b.png")


def test_one_member_is_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", FILES)
    unpack(path, "set/c.png", tmp_path / "out/c.png")
    assert (tmp_path / "out/c.png").read_bytes() == FILES["set/c.png"]
    with pytest.raises(UserError, match=r"a\.zip: does not hold set/e\.png as expected"):
        unpack(path, "set/e.png", tmp_path / "out/e.png")
    with full_disk(500), pytest.raises(UserError, match=r"d\.png: cannot be written \(File too large\)"):
        unpack(path, "set/d.png", tmp_path / "out/d.png")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["c.png"]


def test_suffixes() -> None:
    assert [is_archive(name) for name in ("a.ZIP", "a.tar.gz", "a.tgz", "a.png", "tar")] == [True] * 3 + [
        False
    ] * 2
    assert [stem_of(name) for name in ("a.b.zip", "a.tar.gz", "a.png")] == ["a.b", "a", "a.png"]
