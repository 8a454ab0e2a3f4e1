"""`--consistent`: drawn, said, recorded, foretold, and drawn again."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import arbiscale
from arbiscale.imaging.reading import read_image
from tests.cli.running import run

OPTIONS = ["--scale", "2.5", "--model", "pretrained", "--device", "cpu", "--consistent"]


def test_it_is_drawn_and_said(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, options in (("drawn.png", OPTIONS), ("plain.png", OPTIONS[:-1])):
        assert run("upscale", picture, tmp_path / name, *options, "--json") == 0
        assert json.loads(capsys.readouterr().out)["consistent"] is (name == "drawn.png")
    expected = arbiscale.load_model("pretrained", "cpu").upscale(
        read_image(picture), scale=2.5, consistent=True
    )
    np.testing.assert_array_equal(read_image(tmp_path / "drawn.png"), expected)
    assert (read_image(tmp_path / "plain.png") != expected).any()


def test_redo_draws_it_again(picture: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = project / "drawn.png"
    assert run("upscale", picture, drawn, *OPTIONS) == 0
    assert run("redo", drawn, project / "again.png") == 0
    assert "equal to the byte" in capsys.readouterr().out
    assert (project / "again.png").read_bytes() == drawn.read_bytes()
    assert run("trace", drawn) == 0
    assert re.search(r"consistent\W+True", capsys.readouterr().out)


def test_its_cost_is_known_before(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("upscale", picture, tmp_path / "a.png", *OPTIONS, "--dry-run") == 0
    assert re.search(r"a\.png: 30x50 px, 1 tile, about \d+\.\d GiB and \d+ s$", capsys.readouterr().out)
