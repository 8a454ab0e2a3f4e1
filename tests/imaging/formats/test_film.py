"""Films that ffmpeg writes, or fails to."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.formats import film

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def frames(count: int = 4) -> Iterator[film.Frame]:
    y, x = np.mgrid[:32, :48]
    return (
        np.stack([4 * y, 2 * x, 20 * index % 256 + 0 * x], axis=2).astype(np.uint8) for index in range(count)
    )


def test_h264_shows_the_frames(tmp_path: Path) -> None:
    film.write_film(tmp_path / "a.mp4", frames(), 4, (32, 48), 10)
    shown = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    about = next(shown)
    decoded = [np.frombuffer(each, np.uint8).reshape(32, 48, 3) for each in shown]
    assert (about["size"], about["fps"], about["codec"]) == ((48, 32), 10, "h264")
    assert len(decoded) == 4
    for one, expected in zip(decoded, frames(), strict=True):
        assert np.abs(one.astype(int) - expected).mean() < 4


def test_colours_are_those_of_hd(tmp_path: Path) -> None:
    bars = [(0, 255, 0), (255, 0, 0), (255, 0, 255), (128, 128, 128)]
    frame = np.repeat(np.array([bars], np.uint8), 16, axis=1).repeat(32, axis=0)
    film.write_film(tmp_path / "a.mp4", iter([frame] * 2), 2, (32, 64), 10)
    executable = imageio_ffmpeg.get_ffmpeg_exe()
    told = subprocess.run([executable, "-i", tmp_path / "a.mp4"], capture_output=True, text=True).stderr
    assert "yuv420p(tv, bt709" in told
    as_hd = ["-vf", "scale=in_color_matrix=bt709", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    shown = subprocess.run([executable, "-v", "error", "-i", tmp_path / "a.mp4", *as_hd], capture_output=True)
    first = np.frombuffer(shown.stdout, np.uint8)[: frame.size].reshape(frame.shape).astype(int)
    assert np.abs(first[16, 8::16] - bars).max() <= 4


@pytest.mark.parametrize("rate", [7, 24, 30, 50, 60, 120])
def test_a_gif_is_as_long_as_asked_for(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.gif"
    count, rate = film.frame_count(path, 2, rate)
    film.write_film(path, frames(count), count, (32, 48), rate)
    with Image.open(path) as image:
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert abs(sum(durations) - 2000) <= 10
    assert min(durations) >= 20


def test_what_ffmpeg_cannot_write_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    imageio_ffmpeg.get_ffmpeg_exe()  # asks the program for its version when it is first called
    popen = subprocess.Popen

    def onto_a_full_disk(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen([*command[:-5], "-f", "mp4", "-y", "/dev/full"], **options)

    monkeypatch.setattr(subprocess, "Popen", onto_a_full_disk)
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written \(.*No space left on device\)"):
        film.write_film(tmp_path / "a.mp4", frames(), 4, (32, 48), 10)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


def test_a_film_that_stops_halfway_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[film.Frame]:
        yield next(frames())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film.write_film(tmp_path / "a.mp4", failing(), 4, (32, 48), 10)
    assert not list(tmp_path.iterdir())


def test_frames_that_are_too_large(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 8,192 px a side, not 2x9000"):
        film.write_film(tmp_path / "a.gif", iter(()), 1, (2, 9000), 10)
