"""Upscaling many things at once: sizes, seeds, folders, streams, and what already exists."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.imaging.reading import read_image, read_picture
from arbiscale.inference import drawing_model
from tests.cli.running import run


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_several_sizes_come_from_one_latent(
    picture: Path, tmp_path: Path, options: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from arbiscale.inference.latent_model import LatentModel

    sampled = []
    sample = LatentModel.sample_latents
    monkeypatch.setattr(
        LatentModel, "sample_latents", lambda *given, **more: sampled.append(1) or sample(*given, **more)
    )
    out = tmp_path / "out"
    asked = ["--scale", "2", "--scale", "3.5", "--scale", "2", "--seed", "0", "--seed", "7"]
    assert run("upscale", picture, out / "a.png", *asked, *options) == 0
    assert names(out) == ["a-x2-seed0.png", "a-x2-seed7.png", "a-x3.5-seed0.png", "a-x3.5-seed7.png"]
    assert len(sampled) == 2
    assert run("upscale", picture, out / "alone.png", "--scale", "3.5", "--seed", "7", *options) == 0
    assert (out / "alone.png").read_bytes() == (out / "a-x3.5-seed7.png").read_bytes()
    assert (out / "a-x2-seed0.png").read_bytes() != (out / "a-x2-seed7.png").read_bytes()


def imported(*arguments: str | Path) -> set[str]:
    """What is imported after a command in a process of its own."""
    script = (
        "import sys\nfrom arbiscale.cli import app\n"
        f"try:\n    app.main({[str(each) for each in arguments]!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('imported:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.partition("imported:")[2].split())


def test_what_takes_long_to_import_and_is_not_used_is_not_imported(
    picture: Path, tmp_path: Path, options: list[str | Path]
) -> None:
    found = imported("upscale", picture, tmp_path / "out.png", "--scale", "2", *options)
    assert "diffusers" in found
    unused = {"mlflow", "pandas", "skimage", "cv2", "pytorch_lightning", "matplotlib"}
    assert not unused & found


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Pictures in a folder and one below it, and something else."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    Image.new("RGB", (6, 5), "red").save(folder / "red.png")
    Image.new("RGB", (5, 6), "blue").save(folder / "below" / "blue.jpg")
    (folder / "notes.txt").write_text("notes")
    return folder


def test_a_folder_keeps_names_and_formats(
    album: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = album / "out"  # inside: not searched the next time
    for _ in range(2):
        assert run("upscale", album, out, "--scale", "2", "--skip-existing", *options) == 0
        assert names(out) == ["below/blue.jpg", "red.png"]
    assert capsys.readouterr().out.endswith("2 of 2 outputs exist and are skipped\n")
    assert Image.open(out / "below" / "blue.jpg").size == (10, 12)
    assert run("upscale", album, album.parent / "tifs", "--scale", "2", "--format", "tif", *options) == 0
    assert names(album.parent / "tifs") == ["below/blue.tif", "out/below/blue.tif", "out/red.tif", "red.tif"]


def test_the_working_folder_as_output(
    album: Path, tmp_path: Path, options: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("upscale", "album", ".", "--scale", "2", *options) == 0
    assert names(tmp_path / "below") == ["blue.jpg"]
    monkeypatch.chdir(album)
    assert run("upscale", ".", ".", "--scale", "2", *options) == 2  # pictures are not replaced unasked


def test_a_folder_with_a_dot_is_told_by_its_slash(
    picture: Path, tmp_path: Path, options: list[str | Path]
) -> None:
    assert run("upscale", picture, f"{tmp_path}/v1.2/", "--scale", "2", *options) == 0
    assert names(tmp_path / "v1.2") == ["picture.png"]


def test_a_pattern(album: Path, tmp_path: Path, options: list[str | Path]) -> None:
    assert run("upscale", f"{album}/**/*.[jp][pn]g", tmp_path / "out", "--size", "7x8", *options) == 0
    assert names(tmp_path / "out") == ["below/blue.jpg", "red.png"]


def test_a_broken_picture_does_not_stop_the_others(
    album: Path, tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "broken.png").write_text("no picture")
    assert run("upscale", album, tmp_path / "out", "--scale", "2", *options) == 2
    assert names(tmp_path / "out") == ["below/blue.jpg", "red.png"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0] == "left out: 1 of other suffixes (notes.txt)"
    assert "broken.png: is not a picture" in said[1]
    assert said[2] == "error: 1 of 3 pictures could not be upscaled"


def test_two_sources_of_one_name(
    album: Path, tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (5, 5)).save(album / "red.jpg")
    assert run("upscale", album, tmp_path / "out", "--scale", "2", "--format", "png", *options) == 2
    assert "red.png would be it; rename one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_exists_is_left_alone_unless_told_otherwise(
    picture: Path, tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    out.write_text("mine")
    arguments = ["upscale", picture, out, "--scale", "2", *options]
    assert run(*arguments) == 2
    assert "out.png: exists; give --overwrite or --skip-existing" in capsys.readouterr().err
    assert run(*arguments, "--skip-existing") == 0
    assert out.read_text() == "mine"
    assert run(*arguments, "--overwrite") == 0
    assert read_image(out).shape == (24, 40, 3)


def test_standard_input_and_output(picture: Path, options: list[str | Path]) -> None:
    command = [sys.executable, "-m", "arbiscale.cli.app"]
    script = "from arbiscale.cli.app import main; main()"
    command = [sys.executable, "-c", script, "upscale", "-", "-", "--scale", "2", "--format", "jpg"]
    done = subprocess.run(
        [*command, *map(str, options)], input=picture.read_bytes(), capture_output=True, check=True
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (40, 24))
    assert done.stderr.decode().startswith("-: 24x40 px in ")


def test_a_closed_standard_input(
    options: list[str | Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("upscale", "-", "-", "--scale", "2", *options) == 2
    assert capsys.readouterr().err == "error: standard input: is closed; name a picture file\n"


def test_metadata_alpha_and_depth_arrive(tmp_path: Path, options: list[str | Path]) -> None:
    import cv2

    deep = np.random.default_rng(0).integers(0, 65536, (12, 20, 4), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    for suffix in ("png", "tif", "jpg"):
        assert run("upscale", tmp_path / "deep.png", tmp_path / f"o.{suffix}", "--scale", "2", *options) == 0
    png, tif, jpg = (read_picture(tmp_path / f"o.{suffix}") for suffix in ("png", "tif", "jpg"))
    assert (png.bits, tif.bits, jpg.bits) == (16, 16, 8)
    np.testing.assert_array_equal(png.colour, tif.colour)
    assert png.alpha is not None
    assert png.alpha.shape == (24, 40)
    assert jpg.alpha is None
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    Image.new("RGB", (9, 9)).save(tmp_path / "camera.jpg", exif=exif)
    assert run("upscale", tmp_path / "camera.jpg", tmp_path / "c.webp", "--scale", "2", *options) == 0
    assert Image.open(tmp_path / "c.webp").getexif()[0x010F] == "Camera"


def test_tiles_precision_threads_and_eta_are_taken(
    picture: Path, tmp_path: Path, options: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing_model, "multiplied_in", lambda dtype, _: dtype)  # also where it is emulated
    plain = tmp_path / "plain.png"
    assert run("upscale", picture, plain, "--scale", "4", *options) == 0
    drawn = {}
    for name, given in {
        "tile": ["--tile", "64"],
        "none": ["--tile", "none", "--threads", "1"],
        "eta": ["--eta", "1"],
        "bfloat16": ["--precision", "bfloat16"],
        "float16": ["--precision", "float16"],
    }.items():
        path = tmp_path / f"{name}.png"
        assert run("upscale", picture, path, "--scale", "4", *given, *options) == 0
        drawn[name] = read_image(path).astype(int)
    expected = read_image(plain)
    assert np.array_equal(drawn["tile"], expected)  # one tile holds it all
    assert np.abs(drawn["none"] - expected).max() <= 1
    for precision in ("bfloat16", "float16"):
        assert 0 < np.abs(drawn[precision] - expected).mean() < 8
    assert np.abs(drawn["eta"] - expected).mean() > 0.1


_MEASURE = """
import sys
from pathlib import Path
import numpy as np
import arbiscale
from arbiscale.inference import decoding as bands
from arbiscale.inference.writing import write_drawing
from arbiscale.metrics.cost import peak_memory_mib

bands._BAND_PIXELS = 1 << 15  # small ones, so that an allocator's moods stay small
folder, model, height = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
loaded = arbiscale.load_model(model, "cpu")
drawing = loaded.sample(np.zeros((64, 64, 3), np.uint16), steps=1, tile=32)
for suffix in ("png", "jpg", "tif"):
    write_drawing(drawing, (height, 1024), folder / f"{height}.{suffix}")
print(round(peak_memory_mib(loaded.device)))
"""


def test_peak_memory_does_not_depend_on_the_height(tmp_path: Path, super_resolution_model: Path) -> None:
    peaks_mib = {}
    for height in (1024, 8192):  # 6 and 48 MiB in 16 bits
        arguments = [str(tmp_path), str(super_resolution_model), str(height)]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, *arguments], capture_output=True, text=True, check=True
        )
        peaks_mib[height] = int(done.stdout)
    assert abs(peaks_mib[8192] - peaks_mib[1024]) < 28
