"""Drawing from the command line: sizes, formats, seeds, and nothing left behind after a mistake."""

import json
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from arbiscale.cli.options import SamplerName
from arbiscale.config.sampling import Sampler
from arbiscale.imaging.reading import read_image
from tests.cli.running import run


@pytest.mark.parametrize(
    ("option", "value", "size"),
    [("--scale", "2.7", (32, 54)), ("--scale", "2x3.5", (24, 70)), ("--size", "31x17", (31, 17))],
)
def test_upscale(
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    option: str,
    value: str,
    size: tuple[int, int],
) -> None:
    output = tmp_path / "new" / "out.png"
    assert (
        run("upscale", picture, output, option, value, "--model", super_resolution_model, "--steps", "2") == 0
    )
    assert read_image(output).shape == (*size, 3)


def test_a_sampler_by_name(super_resolution_model: Path, picture: Path, tmp_path: Path) -> None:
    import arbiscale

    model = ["--model", super_resolution_model, "--steps", "5", "--device", "cpu"]
    assert run("upscale", picture, tmp_path / "a.png", "--scale", "2", "--sampler", "unipc", *model) == 0
    expected = arbiscale.load_model(super_resolution_model, "cpu").upscale(
        read_image(picture), scale=2, steps=5, sampler="unipc"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_other_samplers_are_named(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("upscale", picture, tmp_path / "a.png", "--scale", "2", "--sampler", "dpm") == 2
    said = capsys.readouterr().err
    assert "--sampler" in said
    assert all(name in said for name in get_args(Sampler))
    assert get_args(SamplerName) == get_args(Sampler)  # spelled out, so that --help need not load pydantic


def test_upscaling_is_reproducible_and_equals_the_library(
    super_resolution_model: Path, picture: Path, tmp_path: Path
) -> None:
    import arbiscale

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ["--model", super_resolution_model, "--steps", "2", "--device", "cpu", "--seed", seed]
        assert run("upscale", picture, tmp_path / f"{name}.png", "--scale", "4", *arguments) == 0
    a, b, c = (read_image(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    model = arbiscale.load_model(super_resolution_model, device="cpu")
    assert np.array_equal(a, model.upscale(read_image(picture), scale=4.0, steps=2, seed=1))


def test_two_pixels_are_a_picture(super_resolution_model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (2, 1), "red").save(tmp_path / "dot.png")
    output = tmp_path / "out.png"
    assert (
        run("upscale", tmp_path / "dot.png", output, "--scale", "9", "--model", super_resolution_model) == 0
    )
    assert read_image(output).shape == (9, 18, 3)


def test_generate(generation_model: Path, tmp_path: Path) -> None:
    common = ["--size", "16x16", "--size", "20x36", "--model", generation_model, "--steps", "2"]
    assert run("generate", tmp_path / "a", *common, "--count", "2", "--seed", "5") == 0
    names = ["seed5-16x16.png", "seed5-20x36.png", "seed6-16x16.png", "seed6-20x36.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert read_image(tmp_path / "a" / "seed6-20x36.png").shape == (20, 36, 3)
    assert run("generate", tmp_path / "b", *common, "--seed", "6") == 0
    for name in names[2:]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_model_of_several_shapes_generates_each_anew(generation_model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(generation_model, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    config["diffusion"]["training_latent_shapes"] = ["8x8", "6x10"]
    (model / "config.json").write_text(json.dumps(config))
    together, model = [], ["--model", model, "--steps", "2"]
    for name in ("16x16", "18x30", "32x32"):
        assert run("generate", tmp_path / name, "--size", name, *model) == 0
        together += ["--size", name]
    assert run("generate", tmp_path / "all", *together, *model) == 0
    for name in ("16x16", "18x30", "32x32"):
        file = f"seed0-{name}.png"
        assert (tmp_path / "all" / file).read_bytes() == (tmp_path / name / file).read_bytes()
    (tmp_path / "all/seed0-18x30.png").unlink()
    assert run("generate", tmp_path / "all", *together, *model, "--skip-existing") == 0
    assert (tmp_path / "all/seed0-18x30.png").exists()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder of files that are no pictures, and one that is."""
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.jpg")
    (tmp_path / "truncated.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:500])
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "text.png").write_text("hello")
    encoded, header = (
        (tmp_path / "good.png").read_bytes(),
        b"IHDR" + struct.pack(">II5B", *[30_000] * 2, 8, 2, 0, 0, 0),
    )
    claimed = header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(encoded[:12] + claimed + encoded[33:])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["good.png", "out.png", "--scale", "0"], "--scale: must be a factor above 0"),
        (["good.png", "out.png", "--scale", "-1"], "--scale: must be a factor above 0"),
        (["good.png", "out.png", "--scale", "nan"], "--scale: must be a factor above 0"),
        (["good.png", "out.png", "--scale", "1e9"], "--scale 1e9: makes a side of more than"),
        (["good.png", "out.png", "--size", "0x5"], "--size: must be HEIGHTxWIDTH"),
        (["good.png", "out.png", "--size", "999999x99999"], "are more than 17,179,869,184 pixels"),
        (["good.png", "out.png"], "give either --scale or --size"),
        (["good.png", "out.xyz", "--scale", "2"], "out.xyz: unknown picture suffix '.xyz'"),
        (["good.png", ".", "--scale", "2"], "good.png: exists; give --overwrite or --skip-existing"),
        (["good.png", "good.png", "--scale", "2"], "good.png: exists"),
        (["good.png", "out.jpg", "--size", "8x65501"], "JPEG holds at most 65,500 px a side"),
        (["good.png", "out.webp", "--size", "16384x8"], "WebP holds at most 16,383 px a side, not 16384x8"),
        (["good.png", "out.jpg", "--scale", "2", "--format", "png"], "--format: out.jpg says its format"),
        (["good.png", "out", "--scale", "2", "--format", "bmp"], "--format: must be one of png"),
        (["good.png", "out.png", "--scale", "2", "--tile", "0"], "--tile: must be auto, none or"),
        (["good.png", "-", "--scale", "2", "--scale", "3"], "-: takes one picture only"),
        ([".", "out.png", "--scale", "2"], "out.png: is one file for"),
        (["*.tif", "out", "--scale", "2"], "*.tif: matches no file"),
        (["bomb.png", "out.png", "--scale", "2"], "bomb.png: claims more than"),
        (["good.png", "o.png", "--scale", "2", "--overwrite", "--skip-existing"], "either --overwrite or"),
        (["good.png", "text.png/out.png", "--scale", "2"], "text.png: is not a folder"),
        (["missing.png", "out.png", "--scale", "2"], "missing.png: no such file"),
        (["text.png", "out.png", "--scale", "2"], "text.png: is not a picture"),
        (["dot.png", "out.png", "--scale", "2"], "dot.png: is a single pixel, which shows nothing"),
        (["truncated.jpg", "out.png", "--scale", "2"], "truncated.jpg: is truncated or damaged"),
        (["good.png", "out.png", "--scale", "2", "--device", "gpu"], "--device: must be"),
        (["good.png", "out.png", "--scale", "2", "--model", "nowhere"], "nowhere: no model there"),
    ],
)
def test_requests_refused_before_torch(
    broken: Path,
    super_resolution_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(broken)
    monkeypatch.setitem(sys.modules, "arbiscale.inference.loading", None)  # importing it fails
    before = sorted(broken.iterdir())
    if "--model" not in arguments and "no model" not in said:
        arguments = [*arguments, "--model", str(super_resolution_model)]
    assert run("upscale", *arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(broken.iterdir()) == before


def test_a_model_for_something_else(
    generation_model: Path,
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("upscale", picture, tmp_path / "out.png", "--scale", "2", "--model", generation_model) == 2
    assert "made for generation, not for super_resolution" in capsys.readouterr().err
    assert run("generate", tmp_path / "out", "--size", "8x8", "--model", super_resolution_model) == 2
    assert "made for super_resolution, not for generation" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png"]


@pytest.mark.parametrize("steps", ["100", "101", "10000"])
def test_as_many_steps_as_the_process_has(
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    steps: str,
) -> None:
    arguments = ["--scale", "2", "--model", super_resolution_model, "--steps", steps]
    code = run("upscale", picture, tmp_path / "out.png", *arguments)
    assert (code, (tmp_path / "out.png").exists()) == ((0, True) if steps == "100" else (2, False))
    assert ("to 100, the model's timesteps" in capsys.readouterr().err) == (code == 2)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_does_not_suffice(
    super_resolution_model: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def upscale(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("arbiscale.inference.latent_model.LatentModel.sample", upscale)
    arguments = ["--scale", "2", "--model", super_resolution_model]
    assert run("upscale", picture, tmp_path / "out.png", *arguments) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; give a smaller --tile")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "--size", "16x16"], "-: generate writes into a folder"),
        (["out", "--size", "1x70000", "--format", "jpg"], "JPEG holds at most 65,500 px a side"),
        (["out", "--size", "8x8", "--seed", "2147483646", "--count", "3"], "the last seed is 2147483647"),
    ],
)
def test_what_cannot_be_generated_is_refused_before_the_work(
    generation_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "arbiscale.cli.generation.open_model", lambda *given: pytest.fail("a model was loaded")
    )
    assert run("generate", *arguments, "--model", generation_model) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_read(
    super_resolution_model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(super_resolution_model, tmp_path / "model")
    (model / "denoiser.safetensors").unlink()
    (model / "denoiser.safetensors").mkdir()
    assert run("upscale", picture, tmp_path / "a.png", "--scale", "2", "--model", model) == 2
    assert "model: cannot be read (" in capsys.readouterr().err


def test_a_model_that_draws_no_numbers(
    super_resolution_model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(super_resolution_model, tmp_path / "model")
    weights = load_file(model / "denoiser.safetensors")
    save_file(
        {name: tensor * float("nan") for name, tensor in weights.items()}, model / "denoiser.safetensors"
    )
    output = tmp_path / "a.png"
    assert run("upscale", picture, output, "--scale", "2", "--model", model, "--steps", "1") == 2
    assert "the model draws what is no number" in capsys.readouterr().err
    assert not output.exists()
