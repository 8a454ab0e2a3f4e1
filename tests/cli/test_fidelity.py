"""`--fidelity`: several pictures of one latent, none at 1, and who refuses it."""

import json
from pathlib import Path

import numpy as np
import pytest

import arbiscale
from arbiscale.imaging.reading import read_image
from tests.cli.conftest import SaveModel
from tests.cli.running import run


@pytest.fixture(scope="module")
def branched(save_model: SaveModel) -> Path:
    return save_model("super_resolution", branch={"width": 8, "blocks": 1})


def test_one_latent_serves_fidelities(
    branched: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from arbiscale.inference.latent_model import LatentModel

    sampled: list[int] = []
    sample = LatentModel.sample_latents
    monkeypatch.setattr(
        LatentModel, "sample_latents", lambda *given, **more: sampled.append(1) or sample(*given, **more)
    )
    shares = [0.0, 0.5, 1.0]
    asked = [part for share in shares for part in ("--fidelity", str(share))]
    options = ["--scale", "2.5", "--steps", "2", "--model", branched, "--device", "cpu"]
    assert run("upscale", picture, tmp_path / "out" / "a.png", *asked, *options) == 0
    assert len(sampled) == 1
    drawn = {path.name: read_image(path) for path in (tmp_path / "out").iterdir()}
    assert drawn.keys() == {f"a-f{share}.png" for share in shares}
    model = arbiscale.load_model(branched, "cpu")
    for share in shares:
        expected = model.upscale(read_image(picture), scale=2.5, steps=2, fidelity=share)
        np.testing.assert_array_equal(drawn[f"a-f{share}.png"], expected)
    sampled.clear()
    capsys.readouterr()
    assert run("upscale", picture, tmp_path / "b.png", "--fidelity", "1", *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["fidelity"] == 1
    assert not sampled
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), drawn["a-f1.0.png"])
    assert run("upscale", picture, tmp_path / "c.png", *options, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["fidelity"], told["temperature"]) == (model.fidelity, None), (
        "the model's own; it has no flow"
    )


@pytest.mark.parametrize("command", ["upscale", "zoom"])
def test_a_model_without_branch_refuses_before_the_work(
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr(
        "arbiscale.inference.latent_model.LatentModel.sample",
        lambda *given, **more: pytest.fail("a latent was sampled"),
    )
    arguments = {
        "upscale": [picture, tmp_path / "out.png", "--scale", "2", "--model", super_resolution_model],
        "zoom": [picture, tmp_path / "out.gif", "--model", super_resolution_model],
    }[command]
    assert run(command, *arguments, "--fidelity", "0.5") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: this model has no branch")
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
