"""`--self-ensemble`: drawn, counted, recorded, and drawn again."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import arbiscale
from arbiscale.imaging.reading import read_image
from arbiscale.progress import DrawingProgress
from tests.cli.running import run


@pytest.fixture
def options(super_resolution_model: Path) -> list[str | Path]:
    return ["--scale", "2.5x3.1", "--model", super_resolution_model, "--device", "cpu", "--steps", "2"]


def test_it_is_drawn_and_said(
    picture: Path,
    tmp_path: Path,
    options: list[str | Path],
    super_resolution_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, more in (("plain.png", []), ("mean.png", ["--self-ensemble"])):
        assert run("upscale", picture, tmp_path / name, *options, *more, "--json") == 0
        assert json.loads(capsys.readouterr().out)["self_ensemble"] is bool(more)
    model = arbiscale.load_model(super_resolution_model, "cpu")
    pixels = read_image(picture)
    expected = model.upscale(pixels, scale=(2.5, 3.1), steps=2, self_ensemble=True)
    np.testing.assert_array_equal(read_image(tmp_path / "mean.png"), expected)
    assert (read_image(tmp_path / "plain.png") != expected).any()


def test_redo_draws_the_mean_again(
    picture: Path, project: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    mean, model = project / "mean.png", options[3]
    assert run("upscale", picture, mean, *options, "--self-ensemble") == 0
    assert run("redo", mean, project / "again.png", "--model", model) == 0
    assert "equal to the byte" in capsys.readouterr().out
    assert (project / "again.png").read_bytes() == mean.read_bytes()
    assert run("trace", mean) == 0
    assert "self_ensemble" in capsys.readouterr().out


def test_its_cost_is_known_before(
    picture: Path, tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", picture, tmp_path / "a.png", *options, "--self-ensemble", "--dry-run") == 0
    expected = r"a\.png: 30x62 px, 1 tile in each of 8 orientations, about \d+\.\d GiB and \d+ s$"
    assert re.search(expected, capsys.readouterr().out)


@pytest.mark.parametrize("fidelity", ["0", "1"])
def test_progress_counts_all_passes(
    picture: Path,
    tmp_path: Path,
    save_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    fidelity: str,
) -> None:
    begun: list[DrawingProgress] = []
    begin = DrawingProgress.begin
    monkeypatch.setattr(
        DrawingProgress, "begin", lambda self, *given: begun.append(self) or begin(self, *given)
    )
    branched = save_model("super_resolution", branch={"width": 8, "blocks": 1})
    options = ["--scale", "2", "--model", branched, "--steps", "3", "--fidelity", fidelity]
    assert run("upscale", picture, tmp_path / "a.png", *options, "--self-ensemble") == 0
    sampling = begun[0]._sampling
    assert (sampling.asked, sampling.done) == ((0, 0) if fidelity == "1" else (8 * 5, 8 * 5))
