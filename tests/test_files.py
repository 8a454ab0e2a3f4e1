import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from arbiscale.errors import UserError
from arbiscale.files import atomic_file, atomic_folder, write_json


def fill(folder: Path) -> None:
    (folder / "inside").mkdir()
    (folder / "inside" / "a.txt").write_text("new")


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.bin"
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.suffix == ".bin"  # writers choose a format by it
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as temporary:
        temporary.write_text("half\ud800", encoding="utf-8")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with atomic_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("a")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_a_folder_and_all_in_it_have_the_permissions_of_new_ones(
    tmp_path: Path, mask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(mask)
    try:
        with atomic_folder(tmp_path / "model") as temporary:
            fill(temporary)
            (temporary / "inside" / "a.txt").chmod(0o600)  # as safetensors leaves them
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "model").rglob("*"))]
    assert modes == [folder_mode, file_mode]


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, atomic: type[atomic_file]) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(UserError, match=r"file/out: cannot be written \(File exists\)"),
        atomic(tmp_path / "file" / "out"),
    ):
        pytest.fail("the block ran")


def test_a_folder_in_a_files_place_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out: cannot be written"), atomic_file(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\)"),
        atomic_folder(tmp_path / "out"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_errors_of_other_files_are_left_alone(tmp_path: Path, atomic: type[atomic_file]) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"), atomic(tmp_path / "out"):
        (tmp_path / "absent.txt").read_text()
    assert not list(tmp_path.iterdir())


def test_a_copy_that_fills_the_disk_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\)"),
        atomic_file(tmp_path / "out") as temporary,
    ):  # as shutil's copies say it: both files are named
        raise OSError(28, "No space left on device", str(tmp_path / "source"), None, str(temporary))


def test_a_path_below_the_temporary_folder_counts_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(UserError, match=r"^out: cannot be written \(No such file or directory\)"),
        atomic_folder(Path("out")) as temporary,
    ):
        (temporary.resolve() / "absent" / "a.txt").write_text("a")


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model"
    path.mkdir(parents=True)
    (path / "stale.txt").write_text("old")
    with atomic_folder(path) as temporary:
        fill(temporary)
        assert [each.name for each in path.iterdir()] == ["stale.txt"]
    assert [each.name for each in path.iterdir()] == ["inside"]
    assert (path / "inside" / "a.txt").read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "a.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("half\ud800", encoding="utf-8")
    assert (path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_a_folders_place_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="out: cannot be written"), atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": {"d": None, "c": "ü"}})
    write_json(tmp_path / "b.json", {"a": {"c": "ü", "d": None}, "b": [1, 2.5]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": {"c": "ü", "d": None}, "b": [1, 2.5]}


def killed_in(block: Callable[[], None]) -> None:
    """Run a block in a process that is killed at once where it calls `dies`."""
    child = os.fork()
    if not child:
        block()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, writer: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def killed() -> None:
        with writer(tmp_path / "a"):
            dies()

    killed_in(killed)
    assert len(list(tmp_path.iterdir())) == 1
    with writer(tmp_path / "b"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    def other() -> None:
        with atomic_folder(tmp_path / "b"):
            pass
        dies()

    with atomic_folder(tmp_path / "a"):
        killed_in(other)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = []
    replace = Path.replace

    def fails_once(path: Path, target: Path) -> None:
        replaced.append(path)
        if len(replaced) == 2:
            raise OSError("cannot")
        replace(path, target)

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    monkeypatch.setattr(Path, "replace", fails_once)
    with pytest.raises(UserError, match="cannot"), atomic_folder(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]
