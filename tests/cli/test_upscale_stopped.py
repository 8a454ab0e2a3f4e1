"""Upscaling that is stopped, or whose disk is full, leaves no part of a picture."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arbiscale import files
from tests.cli.running import run


def test_a_full_disk(
    picture: Path,
    tmp_path: Path,
    options: list[str | Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(files, "_open_nameless", lambda path: os.open("/dev/full", os.O_RDWR))
    for suffix in ("png", "jpg", "tif", "webp"):
        assert run("upscale", picture, tmp_path / f"out.{suffix}", "--scale", "20", *options) == 2
        said = capsys.readouterr().err
        assert said.endswith(f"out.{suffix}: cannot be written (No space left on device)\n")
        assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_stopped_while_drawing(
    picture: Path, tmp_path: Path, options: list[str | Path], signum: int, code: int
) -> None:
    drawing = ["upscale", picture, tmp_path / "out.png", "--size", "60000x512", *options]
    assert stopped(tmp_path, signum, *drawing) == code
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("command", [("upscale", "out.dzi", "--scale", "999"), ("zoom", "out.mp4")])
def test_stopped_with_a_temporary_name(
    picture: Path,
    tmp_path: Path,
    options: list[str | Path],
    command: tuple[str, ...],
    signum: int,
    code: int,
) -> None:
    pytest.importorskip("imageio_ffmpeg")
    name, output, *more = command
    assert stopped(tmp_path, signum, name, picture, tmp_path / output, *more, *options) == code
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def stopped(folder: Path, signum: int, *arguments: str | Path) -> int:
    """The exit code of a command that gets a signal once it has begun to write into the folder."""
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's & ignores it
        "from arbiscale.cli.app import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stderr=subprocess.DEVNULL
    )
    try:
        opened = Path(f"/proc/{process.pid}/fd")
        deadline = time.monotonic() + 120
        while not any(folder.glob(".part-*")) and not any(
            _size_in(folder, each) for each in opened.iterdir()
        ):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signum)
        ended = process.wait()
    return ended


def _size_in(folder: Path, descriptor: Path) -> int:
    """Bytes so far of a file in the folder that is open without a name."""
    try:
        target = str(descriptor.readlink())
        return descriptor.stat().st_size if target.startswith(str(folder)) else 0
    except OSError:
        return 0
