"""What is written band by band is what others read."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.formats import FORMATS, find_format, tiff
from arbiscale.imaging.formats.layout import Layout, regroup
from arbiscale.imaging.picture import Metadata, Pixels

LOSSLESS = [
    (suffix, bits, channels) for suffix in (".png", ".tif") for bits in (8, 16) for channels in (3, 4)
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
    stream = io.BytesIO()
    layout = Layout(pixels.shape[:2], pixels.shape[2], 8 * pixels.itemsize, metadata or Metadata())
    find_format(Path(suffix.replace(".", "a."))).write(stream, layout, in_bands(pixels, rows))
    stream.seek(0)
    return stream


def read_deep(stream: io.BytesIO) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


@pytest.mark.parametrize(("suffix", "bits", "channels"), LOSSLESS)
@pytest.mark.parametrize("size", [(1, 1), (70, 301), (300, 17)])
def test_lossless_formats(suffix: str, bits: int, channels: int, size: tuple[int, int]) -> None:
    pixels = picture(*size, channels, bits)
    stream = written(pixels, suffix)
    np.testing.assert_array_equal(tifffile.imread(stream) if suffix == ".tif" else read_deep(stream), pixels)
    with Image.open(stream) as image:
        assert image.size == size[::-1]
        if bits == 8:
            np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (64, 40), (65, 41), (1200, 33), (5, 700)])
def test_jpeg_in_bands_is_the_jpeg_of_the_whole(size: tuple[int, int]) -> None:
    """Restart markers change no coefficient, so the pixels are the same to the bit."""
    pixels = picture(*size)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "JPEG", quality=95, subsampling=0)
    with Image.open(written(pixels, ".jpg")) as image, Image.open(whole) as expected:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    decoded = cv2.imdecode(np.frombuffer(written(pixels, ".jpg").getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == pixels.shape  # another decoder takes it too


def test_the_widest_jpeg() -> None:
    pixels = picture(20, 65_500)
    with Image.open(written(pixels, ".jpg")) as image:
        assert image.size == (65_500, 20)
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 2


def test_webp() -> None:
    pixels = picture(60, 50)
    with Image.open(written(pixels, ".webp")) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels).mean() < 3


def test_png_filters_make_smooth_pictures_small() -> None:
    pixels = picture(200, 200)
    pixels[100:] = pixels[:100]
    reference = io.BytesIO()
    Image.fromarray(pixels).save(reference, "PNG")
    assert len(written(pixels, ".png").getvalue()) < 1.1 * len(reference.getvalue())


def test_tiff_is_tiled_and_big_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(300, 500)
    with tifffile.TiffFile(written(pixels, ".tif")) as file:
        assert not file.is_bigtiff
        assert file.pages.first.is_tiled
    monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 1000)
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    stream = written(pixels, ".tif", metadata=Metadata(exif.tobytes().removeprefix(b"Exif\0\0")))
    with tifffile.TiffFile(stream) as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), pixels)
        assert file.pages.first.tags["Make"].value == "Camera"


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


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_regrouping(rows: int) -> None:
    pixels = picture(40, 5)
    for given in (1, 4, 40):
        bands = list(regroup(in_bands(pixels, given), rows))
        assert [len(band) for band in bands[:-1]] == [rows] * (len(bands) - 1)
        np.testing.assert_array_equal(np.concatenate(bands), pixels)


def test_limits_name_the_remedy() -> None:
    assert find_format(Path("a.JPEG"), (65_500, 1)) is FORMATS[".jpg"]
    with pytest.raises(UserError, match="holds at most 16,383 px a side, not 16384x1; write"):
        find_format(Path("a.webp"), (16_384, 1))
    with pytest.raises(UserError, match=r"a\.bmp: unknown picture suffix '\.bmp'; use one of \.png"):
        find_format(Path("a.bmp"))
