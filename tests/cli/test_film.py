from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.imaging.reading import read_image
from tests.cli.running import run


def test_zoom(super_resolution_model: Path, picture: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.gif"
    common = ["--seconds", "0.5", "--fps", "10", "--model", super_resolution_model, "--steps", "1"]
    assert run("zoom", picture, film, "--to", "3", *common) == 0
    with Image.open(film) as image:
        assert (image.n_frames, image.size) == (5, (640, 384))  # the picture's 12x20, made large
    assert run("zoom", picture, film, *common) == 2
    assert run("zoom", picture, film, "--size", "31x17", "--at", "0,1", "--overwrite", *common) == 0
    assert Image.open(film).size == (18, 32)


def test_a_film_is_sampled_as_asked(super_resolution_model: Path, picture: Path, tmp_path: Path) -> None:
    import arbiscale

    film, common = tmp_path / "film.gif", ["--seconds", "0.2", "--fps", "10", "--size", "24x40"]
    asked = {"sampler": "ddim", "steps": 3, "seed": 5, "eta": 0.5}
    options = [each for name, value in asked.items() for each in (f"--{name}", str(value))]
    assert run("zoom", picture, film, *common, *options, "--model", super_resolution_model) == 0
    model = arbiscale.load_model(super_resolution_model, "cpu")
    drawing = model.sample(read_image(picture), **asked)
    first = Image.fromarray(drawing.draw((24, 40))).quantize(dither=Image.Dither.FLOYDSTEINBERG)
    with Image.open(film) as image:
        np.testing.assert_array_equal(image.convert("RGB"), first.convert("RGB"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["film.avi"], "film.avi: a film is .mp4 or .gif"),
        (["film.gif", "--to", "0.5"], "'--to'"),
        (["film.gif", "--at", "2,0"], "--at: must be Y,X"),
        (["film.gif", "--size", "0x4"], "--size: must be"),
        (["film.gif", "--size", "8x70000"], "film.gif: a film holds at most 8,192 px a side, not 8x70000"),
        (["film.gif", "--device", "gpu"], "--device: must be"),
        (["film.gif", "--sampler", "dpm"], "--sampler"),
        (["film.gif", "--sampler", "unipc", "--eta", "1"], "eta must be 0 with sampler: unipc"),
    ],
)
def test_mistakes(
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    film = tmp_path / arguments[0]
    assert run("zoom", picture, film, *arguments[1:], "--model", super_resolution_model) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not film.exists()
