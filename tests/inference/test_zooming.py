from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.formats import film
from arbiscale.imaging.formats.film import check_encoder, write_film
from arbiscale.inference.features import FeatureRows, FeatureStrips
from arbiscale.inference.model import Model
from arbiscale.inference.zooming import zoom_frames


def test_frames_are_parts_of_larger_and_larger_drawings(upscaler: Model, photo: np.ndarray) -> None:
    drawing = upscaler.sample(photo)
    frames = list(zoom_frames(drawing, (60, 80), factor=4, frames=5))
    assert [frame.shape for frame in frames] == [(60, 80, 3)] * 5
    np.testing.assert_array_equal(frames[0], drawing.draw((60, 80)))
    last = drawing.draw((240, 320))[90:150, 120:200]
    assert np.abs(frames[-1].astype(int) - last).max() <= 1
    middle = drawing.draw((120, 160))[30:90, 40:120]
    assert np.abs(frames[2].astype(int) - middle).max() <= 1


def test_features_in_tiles_are_computed_once_for_all_frames(
    upscaler: Model, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = upscaler.sample(photo, tile=32)
    expected = [drawing.region((60, 80), (0, 0, 60, 80)), drawing.region((120, 160), (30, 40, 60, 80))]
    computed, decode = [], type(upscaler).feature_rows

    def counted(model: Model, *arguments: Any) -> FeatureRows:
        rows = decode(model, *arguments)
        assert isinstance(rows, FeatureStrips)
        own = rows.decode
        rows.decode = lambda part: computed.append(part.shape) or own(part)
        return rows

    monkeypatch.setattr(type(upscaler), "feature_rows", counted)
    frames = list(zoom_frames(drawing, (60, 80), factor=2, frames=1))
    once = len(computed)
    assert once > 1
    frames = list(zoom_frames(drawing, (60, 80), factor=2, frames=2))
    assert len(computed) == once
    for frame, each in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame, each)


def test_a_corner(upscaler: Model, photo: np.ndarray) -> None:
    drawing = upscaler.sample(photo)
    *_, last = zoom_frames(drawing, (60, 80), factor=4, frames=2, centre=(0, 1))
    assert np.abs(last.astype(int) - drawing.draw((240, 320))[:60, 240:]).max() <= 1


def frames_of(count: int) -> list[np.ndarray]:
    return [np.full((20, 30, 3), 40 * index, np.uint8) for index in range(count)]


def test_a_gif(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    write_film(path, iter(frames_of(5)), 5, (20, 30), 20)
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (30, 20), 50)
        image.seek(4)
        assert image.convert("RGB").getpixel((3, 3)) == (160, 160, 160)
    assert list(tmp_path.iterdir()) == [path]


def test_an_mp4(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "film.mp4"
    write_film(path, iter(frames_of(5)), 5, (20, 30), 25)
    reader = ffmpeg.read_frames(str(path))
    about = next(reader)
    assert (about["size"], about["fps"], about["codec"]) == ((30, 20), 25, "h264")
    decoded = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert len(decoded) == 5
    assert abs(decoded[4].mean() - 160) < 4


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_that_is_not_finished_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    if suffix == ".mp4":
        pytest.importorskip("imageio_ffmpeg")

    def frames() -> Iterator[np.ndarray]:
        yield from frames_of(2)
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        write_film(tmp_path / "new" / f"film{suffix}", frames(), 3, (20, 30), 25)
    assert list(tmp_path.iterdir()) == []


def test_without_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    check_encoder(Path("a.gif"))
    with pytest.raises(UserError, match=r"a\.mp4: needs an encoder; pip install 'arbiscale\[film\]'"):
        check_encoder(Path("a.mp4"))
    with pytest.raises(UserError, match="needs an encoder"):
        write_film(tmp_path / "a.mp4", iter(frames_of(1)), 1, (20, 30), 25)
    assert not list(tmp_path.iterdir())
