"""`--temperature`: several pictures of one encoding, and who refuses it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.imaging.reading import read_image
from tests.cli.conftest import SaveModel
from tests.cli.running import run


@pytest.fixture(scope="module")
def linf(save_linf: Callable[..., Path]) -> Path:
    return save_linf(temperature=0.3)


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each encoding of a picture by a LINF."""
    from arbiscale.models.local_implicit import LocalImplicit

    encoded: list[int] = []
    encode = LocalImplicit.encode
    monkeypatch.setattr(LocalImplicit, "encode", lambda *given: encoded.append(1) or encode(*given))
    return encoded


def test_one_encoding_serves_temperatures_and_seeds(
    linf: Path, picture: Path, tmp_path: Path, encodings: list[int]
) -> None:
    import arbiscale

    asked = ["--scale", "2.5", "--temperature", "0", "--temperature", "0.6", "--temperature", "0.60"]
    options = ["--seed", "1", "--seed", "7", "--model", linf, "--device", "cpu"]
    assert run("upscale", picture, tmp_path / "out" / "a.png", *asked, *options) == 0
    assert len(encodings) == 1
    drawn = {path.name: read_image(path) for path in (tmp_path / "out").iterdir()}
    model = arbiscale.load_model(linf, "cpu")
    expected = {
        f"a-seed{seed}-t{temperature}.png": model.upscale(
            read_image(picture), scale=2.5, seed=seed, temperature=temperature
        )
        for seed in (1, 7)
        for temperature in (0.0, 0.6)
    }
    assert drawn.keys() == expected.keys()
    for name, pixels in expected.items():
        np.testing.assert_array_equal(drawn[name], pixels)
    np.testing.assert_array_equal(drawn["a-seed1-t0.0.png"], drawn["a-seed7-t0.0.png"])
    assert (drawn["a-seed1-t0.6.png"] != drawn["a-seed7-t0.6.png"]).any()


def test_one_temperature_needs_no_name_and_none_is_the_models_own(
    linf: Path, picture: Path, tmp_path: Path
) -> None:
    for name, asked in (("own", []), ("same", ["--temperature", "0.3"]), ("other", ["--temperature", "0.2"])):
        output = tmp_path / f"{name}.png"
        assert run("upscale", picture, output, "--scale", "2", *asked, "--model", linf) == 0
    own, same, other = (read_image(tmp_path / f"{name}.png") for name in ("own", "same", "other"))
    np.testing.assert_array_equal(own, same)
    assert (own != other).any()


def test_generated_textures_and_films(
    save_model: SaveModel, linf: Path, picture: Path, tmp_path: Path
) -> None:
    import arbiscale
    from arbiscale.imaging.formats.film import write_film
    from arbiscale.inference.zooming import zoom_frames

    model = save_model("generation", head={"kind": "flow", "width": 16, "layers": 2, "frequencies": 8})
    common = ["--steps", "2", "--model", model, "--device", "cpu"]
    asked = ["--size", "16x24", "--seed", "5", "--count", "2", "--temperature", "0.8"]
    assert run("generate", tmp_path / "out", *asked, *common) == 0
    loaded = arbiscale.load_model(model, "cpu")
    for seed in (5, 6):
        ((expected,),) = loaded.generate([(16, 24)], steps=2, seed=seed, temperature=0.8)
        difference = np.abs(read_image(tmp_path / "out" / f"seed{seed}-16x24.png").astype(int) - expected)
        assert difference.max() <= 1  # rounding at one half
        ((smooth,),) = loaded.generate([(16, 24)], steps=2, seed=seed, temperature=0)
        assert np.abs(smooth.astype(int) - expected).max() > 5

    size = ["--seconds", "0.2", "--fps", "10", "--size", "24x40"]
    film, same = tmp_path / "film.gif", tmp_path / "same.gif"
    assert run("zoom", picture, film, *size, "--model", linf, "--seed", "5", "--temperature", "0.8") == 0
    drawing = arbiscale.load_model(linf, "cpu").sample(read_image(picture), seed=5)
    write_film(same, zoom_frames(drawing, (24, 40), factor=12, frames=2, temperature=0.8), 2, (24, 40), 10)
    assert film.read_bytes() == same.read_bytes()
    with Image.open(film) as image:
        first = np.asarray(image.convert("RGB"), int)
    assert np.abs(first - drawing.draw((24, 40), temperature=0)).mean() > 3


@pytest.mark.parametrize("temperature", ["-1", "2", "nan", "x", ""])
@pytest.mark.parametrize("command", ["upscale", "generate", "zoom"])
def test_temperatures_that_are_none(
    linf: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    temperature: str,
) -> None:
    arguments = {
        "upscale": [picture, tmp_path / "out.png", "--scale", "2"],
        "generate": [tmp_path / "out", "--size", "8x8"],
        "zoom": [picture, tmp_path / "out.gif"],
    }[command]
    assert run(command, *arguments, "--model", linf, "--temperature", temperature) == 2
    said = capsys.readouterr().err
    assert "temperature" in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("command", ["upscale", "generate", "zoom"])
def test_a_model_without_a_flow_refuses_before_the_work(
    super_resolution_model: Path,
    generation_model: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    for name in ("sample", "generate_latents"):
        monkeypatch.setattr(
            f"arbiscale.inference.latent_model.LatentModel.{name}",
            lambda *given, **more: pytest.fail("a latent was sampled"),
        )
    arguments = {
        "upscale": [picture, tmp_path / "out.png", "--scale", "2", "--model", super_resolution_model],
        "generate": [tmp_path / "out", "--size", "8x8", "--model", generation_model],
        "zoom": [picture, tmp_path / "out.gif", "--model", super_resolution_model],
    }[command]
    assert run(command, *arguments, "--temperature", "0.5") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: this model has no flow, so no temperature")
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_a_liif_takes_temperature_zero_only(
    save_linf: Callable[..., Path], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    liif = save_linf(kind="liif")
    arguments = ["upscale", picture, tmp_path / "out.png", "--scale", "2", "--model", liif]
    assert run(*arguments, "--temperature", "0", "--temperature", "0.1") == 2
    assert "this model has no flow" in capsys.readouterr().err
    assert run(*arguments, "--temperature", "0") == 0
