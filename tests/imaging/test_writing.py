"""What is written band by band is what others read."""

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.formats import FORMATS, find_format
from arbiscale.imaging.picture import Metadata, Picture, Pixels
from arbiscale.imaging.reading import read_image, read_picture
from arbiscale.imaging.writing import Layout, write_bands, write_image
from benchmarks.killed_batch import contents

LOSSLESS = [
    (suffix, bits, channels) for suffix in (".png", ".tif") for bits in (8, 16) for channels in (1, 2, 3, 4)
]


def picture(height: int, width: int, channels: int = 3, bits: int = 8) -> Pixels:
    """Smooth, with noise in the lower half."""
    y, x, c = np.mgrid[:height, :width, :channels]
    values = (np.sin(x / 9 + c) + np.cos(y / 7)) / 4 + 0.5
    values[height // 2 :] += np.random.default_rng(0).normal(0, 0.02, values[height // 2 :].shape)
    largest = 2**bits - 1
    return (values.clip(0, 1) * largest).astype(np.uint8 if bits == 8 else np.uint16)


def in_bands(pixels: Pixels, rows: int) -> Iterator[Pixels]:
    return (pixels[top : top + rows] for top in range(0, len(pixels), rows))


def written(pixels: Pixels, suffix: str, rows: int = 13, metadata: Metadata | None = None) -> io.BytesIO:
    layout = Layout(pixels.shape[:2], pixels.shape[2], 8 * pixels.itemsize, metadata or Metadata())
    with tempfile.TemporaryFile() as stream:
        write_bands(stream, find_format(Path(f"a{suffix}")), layout, in_bands(pixels, rows))
        stream.seek(0)
        return io.BytesIO(stream.read())


def read_deep(stream: io.BytesIO) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


@pytest.mark.parametrize(("suffix", "bits", "channels"), LOSSLESS)
@pytest.mark.parametrize("size", [(1, 1), (70, 301), (300, 17)])
def test_lossless_formats(suffix: str, bits: int, channels: int, size: tuple[int, int]) -> None:
    pixels = picture(*size, channels, bits)
    stream = written(pixels, suffix)
    found = tifffile.imread(stream) if suffix == ".tif" else read_deep(stream)
    if channels == 2 and suffix == ".png":  # OpenCV has no grey with alpha
        found = found[..., 2:]
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(levels(read_picture(stream)), pixels)
    if bits == 8:
        with Image.open(stream) as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def levels(read: Picture) -> np.ndarray:
    return read.colour if read.alpha is None else np.concatenate([read.colour, read.alpha[..., None]], 2)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_metadata_goes_along(suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5  # exposure time
    exif.get_ifd(0x8825)[0x0001] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = Metadata(exif.tobytes().removeprefix(b"Exif\0\0"), profile)
    with Image.open(written(picture(40, 50), suffix, metadata=metadata)) as image:
        assert image.info["icc_profile"] == profile
        found = image.getexif()
        assert found[0x010F] == "Camera"
        assert float(found.get_ifd(0x8769)[0x829A]) == 0.5
        assert found.get_ifd(0x8825)[0x0001] == "N"
        image.load()


def test_limits_name_the_remedy() -> None:
    assert find_format(Path("a.JPEG"), (65_500, 1)) is FORMATS[".jpg"]
    with pytest.raises(UserError, match="holds at most 16,383 px a side, not 16384x1; write"):
        find_format(Path("a.webp"), (16_384, 1))
    with pytest.raises(UserError, match=r"a\.bmp: unknown picture suffix '\.bmp'; use one of \.png"):
        find_format(Path("a.bmp"))


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep/folder/picture{suffix}"
    write_image(path, PIXELS)
    assert np.array_equal(read_image(path), PIXELS)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str) -> None:
    ramp = np.broadcast_to(np.linspace(20, 230, 32)[None, :, None], (32, 32, 3)).astype(np.uint8)
    write_image(tmp_path / f"ramp{suffix}", ramp)
    assert np.abs(read_image(tmp_path / f"ramp{suffix}").astype(int) - ramp).max() <= 4


def test_writing_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"picture\.xyz: unknown picture suffix '\.xyz'; use one of \.png"):
        write_image(tmp_path / "picture.xyz", PIXELS)
    with pytest.raises(UserError, match=r"wide\.webp: WebP holds at most"):
        write_image(tmp_path / "wide.webp", np.zeros((1, 16384, 3), np.uint8))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "file/below.png", PIXELS)
    with pytest.raises(ValueError, match="expected uint8"):
        write_image(tmp_path / "float.png", PIXELS.astype(np.float32))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


def test_all_metadata_returns(tmp_path: Path) -> None:
    iptc = b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\x08\x1c\x02\x78\0\3cat"
    metadata = Metadata(
        xmp=b"<x/>", iptc=iptc, text={"parameters": "a cät"}, comment=b"hello", resolution=(12, 12)
    )
    for suffix, kept in {
        ".png": "xmp text resolution",
        ".jpg": "xmp iptc comment resolution",
        ".tif": "xmp iptc resolution",
        ".webp": "xmp",
    }.items():
        with (tmp_path / f"a{suffix}").open("w+b") as stream:
            write_bands(stream, FORMATS[suffix], Layout((6, 9), metadata=metadata), [PIXELS])
        found = read_picture(tmp_path / f"a{suffix}").metadata
        for name in kept.split():
            value = getattr(found, name)
            if name == "resolution":
                value = tuple(round(each, 1) for each in value)
            assert value == getattr(metadata, name), (suffix, name)


def test_texts_are_what_other_readers_of_pngs_find(tmp_path: Path) -> None:
    text = {"Creation Time": "2020", "Copyright": "© José", "Größe": "x", "parameters": "猫", "Software": "y"}
    rows = np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8)
    with (tmp_path / "a.png").open("w+b") as stream:
        write_bands(stream, FORMATS[".png"], Layout((600, 900), metadata=Metadata(text=text)), [rows])
    assert read_picture(tmp_path / "a.png").metadata.text == text
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == text
        np.testing.assert_array_equal(np.asarray(image), rows)


def test_a_full_disk_ends_the_writing_at_once() -> None:
    drawn = []

    def bands() -> Iterator[Pixels]:
        for _ in range(1000):
            drawn.append(1)
            yield np.random.default_rng(0).integers(0, 256, (8, 4096, 3), np.uint8)

    with Path("/dev/full").open("r+b", buffering=0) as stream, pytest.raises(OSError, match="space"):
        write_bands(stream, FORMATS[".png"], Layout((8000, 4096)), bands())
    assert len(drawn) < 1000


def test_a_failure_of_the_drawing_passes_through(tmp_path: Path) -> None:
    def bands() -> Iterator[Pixels]:
        yield PIXELS
        raise UserError("the model draws what is no number")

    with (tmp_path / "a.png").open("w+b") as stream, pytest.raises(UserError, match="no number"):
        write_bands(stream, FORMATS[".png"], Layout((600, 9)), bands())


KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
import numpy as np
from arbiscale.imaging.writing import write_image

def write(name, level, steps):
    begun = count()
    def step(event, arguments):
        if event in {"os.rename", "os.mkdir", "os.rmdir", "os.remove"} and next(begun) == steps:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    write_image(Path(name), np.full((8, 8, 3), level, np.uint8))

for steps in count():
    child = os.fork()
    if not child:
        (Path(f"{steps}.dzi").exists() or write(f"{steps}.dzi", 7, -1)) if sys.argv[1] == "old" else None
        write(f"{steps}.dzi", 9, steps)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(steps)
"""


@pytest.mark.parametrize("before", ["none", "old"])
def test_a_deep_zoom_picture_killed_at_any_step_is_written_by_the_next(tmp_path: Path, before: str) -> None:
    script = [sys.executable, "-c", KILLED, before]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=True)
    steps = int(done.stdout)
    assert steps > 5
    clean = contents(tmp_path / f"{steps}_files")
    for step in range(steps):
        write_image(tmp_path / f"{step}.dzi", np.full((8, 8, 3), 9, np.uint8))
        assert contents(tmp_path / f"{step}_files") == clean
    names = [f"{step}{ending}" for step in range(steps + 1) for ending in (".dzi", "_files")]
    assert {path.name for path in tmp_path.iterdir()} == {*names}
