"""Pictures say what drew them, and are drawn again by that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from arbiscale.files import content_hash, sha256_of
from arbiscale.imaging.provenance import read_record
from arbiscale.imaging.reading import read_metadata
from tests.cli.running import run


@pytest.fixture(autouse=True)
def repository(project: Path) -> Path:
    return project


def record(path: Path) -> dict[str, str]:
    return read_record(read_metadata(path))


@pytest.fixture
def drawn(picture: Path, tmp_path: Path, super_resolution_model: Path) -> Path:
    path = tmp_path / "out" / "drawn.png"
    asked = ["--scale", "2.5x3.1", "--seed", "7", "--steps", "3", "--eta", "0.5", "--threads", "1"]
    assert run("upscale", picture, path, "--model", super_resolution_model, "--device", "cpu", *asked) == 0
    return path


def test_a_picture_says_what_drew_it(drawn: Path, picture: Path, super_resolution_model: Path) -> None:
    found = record(drawn)
    assert found["model"] == "super_resolution"
    assert found["model_sha256"] == content_hash(super_resolution_model)
    assert (found["input"], found["input_sha256"]) == ("picture.png", sha256_of(picture))
    assert (found["size"], found["scale"], found["tile"]) == ("30x62", "2.5x3.1", "none")
    assert (found["seed"], found["steps"], found["sampler"], found["eta"]) == ("7", "3", "ddim", "0.5")
    assert (found["precision"], found["device"], found["threads"]) == ("float32", "cpu", "1")
    assert "version" not in found
    assert str(picture.parent) not in str(found)


def test_a_folders_model_names_the_run_that_made_it(
    picture: Path, tmp_path: Path, super_resolution_model: Path
) -> None:
    (tmp_path / "runs").mkdir()
    made = {"run_id": "abc", "git_commit": "def", "model_sha256": content_hash(super_resolution_model)}
    (tmp_path / "runs/broken.json").write_text("[")
    (tmp_path / "runs/other.json").write_text(json.dumps(made | {"model_sha256": "1", "run_id": "no"}))
    (tmp_path / "runs/register.json").write_text(json.dumps(made))
    assert run("upscale", picture, "o.jpg", "--scale", "2", "--model", super_resolution_model) == 0
    found = record(Path("o.jpg"))
    assert (found["run"], found["commit"]) == ("abc", "def")


def test_no_provenance(picture: Path, super_resolution_model: Path, drawn: Path) -> None:
    options = ["--scale", "2", "--model", super_resolution_model, "--no-provenance"]
    assert run("upscale", picture, "plain.png", *options) == 0
    assert record(Path("plain.png")) == {}
    assert run("upscale", drawn, "of-drawn.png", *options) == 0
    assert record(Path("of-drawn.png")) == {}


@pytest.mark.parametrize(
    "options",
    [
        ["o.png", "--scale", "2.5x3.1", "--seed", "3", "--steps", "3", "--sampler", "unipc"],
        ["o.jpg", "--size", "40x31", "--quality", "70", "--dpi", "300"],
        ["o.webp", "--scale", "1.3", "--lossless", "--eta", "1"],
        ["o.tif", "--scale", "9", "--tile", "32"],
        ["o.avif", "--scale", "2", "--threads", "1"],
        ["o.dzi", "--scale", "9", "--quality", "80"],
    ],
    ids=lambda options: options[0],
)
def test_redo_is_equal_to_the_byte(
    options: list[str], picture: Path, super_resolution_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = np.asarray(Image.open(picture).resize((70, 50)))
    Image.fromarray(large).save(picture, dpi=(200, 200))
    assert run("upscale", picture, *options, "--model", super_resolution_model, "--device", "cpu") == 0
    assert run("redo", options[0], "again", "--model", super_resolution_model) == 2  # no suffix
    again = f"again{Path(options[0]).suffix}"
    assert run("redo", options[0], again, "--model", super_resolution_model) == 0
    assert f"{again}: drawn again, equal to the byte" in capsys.readouterr().out
    assert Path(again).read_bytes() == Path(options[0]).read_bytes()


def test_redo_looks_at_the_tiles(
    picture: Path, super_resolution_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", picture, "o.dzi", "--scale", "2", "--model", super_resolution_model) == 0
    tiles = content_hash(Path("o_files"))
    assert run("redo", "o.dzi", "again.dzi", "--model", super_resolution_model) == 0
    assert content_hash(Path("again_files")) == tiles
    Image.new("L", (1, 1)).save("o_files/0/0_0.jpg")
    capsys.readouterr()
    assert run("redo", "o.dzi", "--model", super_resolution_model) == 0
    assert "o.dzi: drawn again, with other tiles" in capsys.readouterr().out
    assert run("trace", "o.dzi") == 0
    assert "of picture.png, sha256" in capsys.readouterr().out


def test_texture_and_fidelity_are_drawn_again(
    picture: Path, save_model: Callable[..., Path], save_linf: Callable[..., Path]
) -> None:
    branch = save_model("super_resolution", branch={"width": 8, "blocks": 1})
    assert run("upscale", picture, "out", "--scale", "2", "--model", branch, "--fidelity", "0.3") == 0
    assert record(Path("out/picture.png"))["fidelity"] == "0.3"
    assert run("redo", "out/picture.png", "--model", branch) == 0
    linf = save_linf()
    asked = ["--scale", "2", "--model", linf, "--temperature", "0.7", "--seed", "5", "--seed", "6"]
    assert run("upscale", picture, "linf/p.png", *asked) == 0
    found = record(Path("linf/p-seed6.png"))
    assert (found["temperature"], found["seed"]) == ("0.7", "6")
    assert "steps" not in found
    assert run("redo", "linf/p-seed6.png", "b.png", "--model", linf) == 0
    assert Path("b.png").read_bytes() == Path("linf/p-seed6.png").read_bytes()


def test_generated_pictures_are_drawn_again_without_an_input(generation_model: Path) -> None:
    asked = ["--size", "24x40", "--size", "16x16", "--count", "2", "--seed", "4", "--device", "cpu"]
    assert run("generate", "out", *asked, "--model", generation_model) == 0
    drawn = Path("out/seed5-16x16.png")
    assert record(drawn)["latent"] == record(Path("out/seed5-24x40.png"))["latent"]
    assert run("redo", drawn, "again.png", "--model", generation_model) == 0
    assert Path("again.png").read_bytes() == drawn.read_bytes()


def test_model_and_input_are_found_by_their_hashes(
    drawn: Path,
    picture: Path,
    tmp_path: Path,
    super_resolution_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("redo", drawn) == 2
    assert "no model of sha256" in capsys.readouterr().err
    shutil.copytree(super_resolution_model, tmp_path / "models/baselines/any")
    assert run("redo", drawn) == 0
    assert "equal to the byte" in capsys.readouterr().out
    (tmp_path / "album").mkdir()
    picture.rename(tmp_path / "album/other name.png")
    assert run("redo", drawn) == 2
    assert "was drawn of picture.png" in capsys.readouterr().err
    assert run("redo", drawn, "--input", "album") == 0
    Image.new("RGB", (20, 12)).save(picture)
    assert run("redo", drawn, "--input", picture) == 2


def resave(path: Path, said: str, says: str, flipped: int = 0) -> None:
    """Change a pixel of a PNG, and what it says in its text."""
    with Image.open(path) as image:
        pixels, text = np.asarray(image).copy(), PngInfo()
        assert said in image.info["arbiscale"]
        text.add_text("arbiscale", image.info["arbiscale"].replace(said, says))
    pixels[3, 4] ^= flipped
    Image.fromarray(pixels).save(path, pnginfo=text)


def test_redo_says_how_a_changed_picture_differs(
    drawn: Path, super_resolution_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resave(drawn, '"threads": "1"', '"threads": "2"', flipped=8)
    assert run("redo", drawn, "--model", super_resolution_model) == 0
    assert "pixels differ by at most 8 levels" in capsys.readouterr().out


def test_what_cannot_be_drawn_again(
    drawn: Path,
    picture: Path,
    super_resolution_model: Path,
    generation_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("redo", picture) == 2
    assert "says nothing of its origin" in capsys.readouterr().err
    assert run("redo", "missing.png") == 2
    assert run("redo", drawn, "--model", generation_model) == 2
    assert "is not the model that drew" in capsys.readouterr().err
    assert run("redo", drawn, picture, "--model", generation_model) == 2
    assert "exists; give --overwrite" in capsys.readouterr().err
    resave(drawn, '"steps": "3"', '"steps": "many"')
    assert run("redo", drawn, "--model", super_resolution_model) == 2
    assert "what it says of its origin is damaged" in capsys.readouterr().err
