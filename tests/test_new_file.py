import os
from pathlib import Path

import pytest

from arbiscale import files as output
from arbiscale.errors import UserError
from arbiscale.files import new_file


@pytest.fixture(params=["nameless", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a file that has no name, and as where the system knows none."""
    if request.param == "named":
        monkeypatch.setattr(output, "_open_nameless", lambda path: None)
    return request.param


def test_a_file_appears_when_it_is_whole(tmp_path: Path, way: str) -> None:
    path = tmp_path / "new" / "a.bin"
    with new_file(path) as stream:
        stream.write(b"xx")
        stream.seek(0)
        assert stream.read() == b"xx"
        assert not path.exists()
    assert path.read_bytes() == b"xx"
    assert list(path.parent.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    with new_file(path) as stream:
        stream.write(b"y")
    assert path.read_bytes() == b"y"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), new_file(path) as stream:
        stream.write(b"half" + None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_no_folder_that_was_made_for_it(tmp_path: Path, way: str) -> None:
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "new" / "below" / "a.bin", tmp_path / "there" / "a.bin"):
        with pytest.raises(KeyboardInterrupt), new_file(path):
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    mine = tmp_path / "new" / "mine"

    def interrupted() -> None:
        mine.parent.mkdir(exist_ok=True)
        mine.touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "new" / "a.bin"):
        interrupted()
    assert list(mine.parent.iterdir()) == [mine]


def test_errors_of_other_files_are_left_alone(tmp_path: Path, way: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"), new_file(tmp_path / "a.bin"):
        (tmp_path / "absent.txt").read_text()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.bin", "new/below/a.bin"])
def test_nothing_has_a_name_while_it_is_written(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_file(Path(name)) as stream:
        stream.write(b"half")
        stream.flush()
        assert list(tmp_path.iterdir()) == []
    assert Path(name).read_bytes() == b"half"


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_open_nameless", lambda path: os.open("/dev/full", os.O_RDWR))
    with (
        pytest.raises(UserError, match=r"a\.bin: cannot be written \(No space left on device\)$"),
        new_file(tmp_path / "a.bin") as stream,
    ):
        stream.write(b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="below: cannot be written"), new_file(tmp_path / "file" / "below"):
        pytest.fail("the block ran")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without names are Linux's")
def test_a_new_file_is_never_seen_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = []
    link = os.link
    monkeypatch.setattr(
        os, "link", lambda source, path, **more: (linked.append(path), link(source, path, **more))
    )
    with new_file(tmp_path / "a.bin") as stream:
        stream.write(b"a")
    assert linked == [tmp_path / "a.bin"]
