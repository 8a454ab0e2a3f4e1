"""The files of shared/cases are the same picture, or the same line, on every way into a model."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.data.examination import decode
from arbiscale.errors import UserError
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.reading import as_srgb, read_picture
from arbiscale.inference.loading import load_model
from arbiscale.inference.requests import Limits, read_subject
from tests.cli.running import run


def known(path: Path) -> Picture | str:
    """The picture of a file, or why there is none."""
    try:
        return read_picture(path)
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")


@pytest.mark.slow
def test_every_way_in_gives_the_same(
    shared: Path, tmp_path: Path, super_resolution_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(path for path in (shared / "cases").iterdir() if path.suffix != ".md")
    assert len(paths) > 30
    model = load_model(super_resolution_model, "cpu")
    options = ["--scale", "1.5", "--steps", "1", "--model", super_resolution_model, "--device", "cpu"]
    for path in paths:
        picture, output = known(path), tmp_path / f"{path.name}.png"
        assert run("upscale", path, output, *options) == (2 if isinstance(picture, str) else 0), path
        data = path.read_bytes()
        if isinstance(picture, str):
            assert picture in capsys.readouterr().err
            with pytest.raises(UserError) as imported:
                decode(data)
            with pytest.raises(UserError) as served:
                read_subject(data, Limits())
            assert str(imported.value) == str(served.value).removeprefix("the picture: ") == picture
            continue
        np.testing.assert_array_equal(decode(data)[0], as_srgb(picture))
        there = read_subject(data, Limits()).picture
        assert there is not None
        np.testing.assert_array_equal(there.colour, picture.colour)
        drawn = model.upscale(picture, scale=1.5, steps=1)
        written = read_picture(output)
        colours = 1 if picture.grey else 3
        np.testing.assert_array_equal(written.colour, drawn[..., :colours])
        assert (written.alpha is None) == (picture.alpha is None) == (drawn.shape[2] == colours)
        try:
            opened = Image.open(path)
        except Exception:  # Pillow knows fewer files
            continue
        alike = model.upscale(opened, scale=1.5, steps=1)
        assert alike.size == written.size[::-1]
        assert (alike.mode in {"L", "I;16", "LA"}) == picture.grey
