"""Picture files in and out."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.formats import find_format
from arbiscale.imaging.picture_files import read_image, write_image


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_lossless_formats_return_what_was_written(tmp_path: Path, picture: np.ndarray, suffix: str):
    path = tmp_path / f"deep/folder/picture{suffix}"
    write_image(path, picture)
    assert np.array_equal(read_image(path), picture)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str):
    ramp = np.broadcast_to(np.linspace(20, 230, 32)[None, :, None], (32, 32, 3)).astype(np.uint8)
    write_image(tmp_path / f"ramp{suffix}", ramp)
    assert np.abs(read_image(tmp_path / f"ramp{suffix}").astype(int) - ramp).max() <= 4


def test_reads_from_an_open_file(picture: np.ndarray):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    buffer.seek(0)
    assert np.array_equal(read_image(buffer), picture)


def test_sixteen_bit_grey_is_scaled(tmp_path: Path):
    levels = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert read_image(tmp_path / name)[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_sixteen_bit_colour_is_scaled(tmp_path: Path):
    levels = np.array([[[0, 128 * 257, 65535], [65535, 0, 257]]], dtype=">u2")
    path = tmp_path / "deep.png"
    path.write_bytes(_png(width=2, height=1, bits=16, colour_type=2, rows=[levels.tobytes()]))
    assert read_image(path).tolist() == [[[0, 128, 255], [255, 0, 1]]]


def test_float_grey_in_unit_range(tmp_path: Path):
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)).save(tmp_path / "float.tif")
    assert read_image(tmp_path / "float.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0.0, np.nan, 40.0]], dtype=np.float32)).save(tmp_path / "hdr.tif")
    with pytest.raises(UserError, match=r"hdr\.tif: cannot be decoded \(grey values outside 0 to 1\)"):
        read_image(tmp_path / "hdr.tif")


def test_integer_grey_of_another_range_is_refused(tmp_path: Path):
    for largest, read in ((65535, 255), (0, 0)):
        Image.fromarray(np.array([[0, largest]], dtype=np.int32)).save(tmp_path / "long.tif")
        assert read_image(tmp_path / "long.tif")[0, 1].tolist() == [read] * 3
    Image.fromarray(np.array([[0, 255]], dtype=np.int32)).save(tmp_path / "long.tif")
    with pytest.raises(
        UserError, match=r"long\.tif: cannot be decoded \(32 bits a sample, but none above 255"
    ):
        read_image(tmp_path / "long.tif")


def test_transparency_is_laid_on_white(tmp_path: Path):
    pixels = np.array([[[200, 0, 100, 255], [200, 0, 100, 0], [255, 0, 0, 51]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").tolist() == [[[200, 0, 100], [255] * 3, [255, 204, 204]]]
    grey = np.array([[[80, 255], [80, 0]]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey_alpha.png")
    assert read_image(tmp_path / "grey_alpha.png").tolist() == [[[80] * 3, [255] * 3]]


def test_palette_with_and_without_transparency(tmp_path: Path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]
    image.save(tmp_path / "hole.png", transparency=1)
    assert read_image(tmp_path / "hole.png").tolist() == [[[10, 20, 30], [255] * 3]]


def test_black_and_white_and_grey(tmp_path: Path):
    Image.fromarray(np.array([[0, 90, 255]], dtype=np.uint8)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[0].tolist() == [[0] * 3, [90] * 3, [255] * 3]
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bits.png")
    assert read_image(tmp_path / "bits.png")[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(tmp_path: Path, suffix: str):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / f"red{suffix}")
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / f"paper{suffix}")
    assert np.abs(read_image(tmp_path / f"red{suffix}").astype(int) - [255, 0, 0]).max() <= 3
    assert read_image(tmp_path / f"paper{suffix}").min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, picture: np.ndarray, orientation: int):
    stored = {  # how a camera stores an upright picture under each orientation (EXIF 2.32, tag 0x0112)
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture),
        7: np.rot90(picture.transpose(1, 0, 2), 2),
        8: np.rot90(picture, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), picture)


def test_embedded_profile_is_converted_and_srgb_is_left_alone(tmp_path: Path, picture: np.ndarray):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture).save(tmp_path / "srgb.png", icc_profile=srgb)
    assert np.array_equal(read_image(tmp_path / "srgb.png"), picture)
    Image.fromarray(picture).save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert np.array_equal(read_image(tmp_path / "broken.png"), picture)

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    neutral = Image.merge("LAB", [Image.new("L", (2, 2), value) for value in (255, 128, 128)])
    neutral.save(tmp_path / "lab.tif", icc_profile=lab)
    assert read_image(tmp_path / "lab.tif").min() >= 250  # L = 100 is white


def test_refusals_name_the_file(tmp_path: Path, picture: np.ndarray):
    (tmp_path / "notes.png").write_text("not a picture")
    whole = tmp_path / "whole.png"
    write_image(whole, picture)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:-60])
    (tmp_path / "empty.jpg").touch()
    bomb = _png(width=60_000, height=60_000, bits=8, colour_type=2, rows=[b"\0" * 180_000])
    (tmp_path / "bomb.png").write_bytes(bomb)
    for name, reason in {
        "absent.png": "no such file",
        "notes.png": "is not a picture",
        "empty.jpg": "is not a picture",
        "half.png": "cannot be decoded",
        "bomb.png": "claims more than",
        "": "is a folder",
    }.items():
        with pytest.raises(UserError) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_writing_refusals(tmp_path: Path, picture: np.ndarray):
    with pytest.raises(UserError, match=r"picture\.xyz: unknown picture suffix '\.xyz'; use one of \.png"):
        write_image(tmp_path / "picture.xyz", picture)
    with pytest.raises(UserError, match=r"wide\.webp: WebP holds at most"):
        write_image(tmp_path / "wide.webp", np.zeros((1, 16384, 3), np.uint8))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "file/below.png", picture)
    with pytest.raises(ValueError, match="expected uint8"):
        write_image(tmp_path / "float.png", picture.astype(np.float32))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]
    assert find_format(Path("A.JPEG")).name == "JPEG"


def _png(*, width: int, height: int, bits: int, colour_type: int, rows: list[bytes]) -> bytes:
    """A PNG file put together by hand, for what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
