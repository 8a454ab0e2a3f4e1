"""Films that ffmpeg writes, or fails to."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arbiscale.errors import UserError
from arbiscale.imaging.formats import film

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def frames(count: int = 4) -> Iterator[film.Frame]:
    y, x = np.mgrid[:32, :48]
    return (np.stack([4 * y, 2 * x, 20 * index + 0 * x], axis=2).astype(np.uint8) for index in range(count))


def test_h264_shows_the_frames(tmp_path: Path) -> None:
    film.write_film(tmp_path / "a.mp4", frames(), (32, 48), 10)
    shown = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    about = next(shown)
    decoded = [np.frombuffer(each, np.uint8).reshape(32, 48, 3) for each in shown]
    assert (about["size"], about["fps"], about["codec"]) == ((48, 32), 10, "h264")
    assert len(decoded) == 4
    for one, expected in zip(decoded, frames(), strict=True):
        assert np.abs(one.astype(int) - expected).mean() < 4


def test_what_ffmpeg_cannot_write_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    popen = subprocess.Popen

    def onto_a_full_disk(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen([*command[:-1], "-f", "mp4", "/dev/full"], **options)

    monkeypatch.setattr(subprocess, "Popen", onto_a_full_disk)
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written \(.*No space left on device\)"):
        film.write_film(tmp_path / "a.mp4", frames(), (32, 48), 10)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


def test_a_film_that_stops_halfway_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[film.Frame]:
        yield next(frames())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film.write_film(tmp_path / "a.mp4", failing(), (32, 48), 10)
    assert not list(tmp_path.iterdir())


def test_frames_that_are_too_large(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 8,192 px a side, not 2x9000"):
        film.write_film(tmp_path / "a.gif", iter(()), (2, 9000), 10)
