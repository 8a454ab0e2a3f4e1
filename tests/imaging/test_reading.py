"""What survives from a file: 16 bits, alpha, the profile, the upright pixels."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.reading import claimed_pixels, from_pil, read_image, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (6, 9, 4), dtype=np.uint16)


def write_deep(path: Path, samples: np.ndarray) -> None:
    ordered = samples if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    assert cv2.imwrite(str(path), ordered)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "YCbCr"])
def test_opaque_colours_are_those_of_read_image(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode in {"CMYK", "YCbCr"} else "a.png")
    Image.fromarray(PIXELS[..., :3]).convert(mode).save(path)
    picture = read_picture(path)
    assert (picture.bits, picture.alpha, picture.metadata.icc_profile) == (8, None, None)
    assert picture.grey == (mode in {"L", "1"})
    np.testing.assert_array_equal(picture.rgb, read_image(path))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_alpha_is_kept_apart(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path, **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.colour, PIXELS[..., :3])
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, PIXELS[..., 3])


def test_alpha_of_grey_and_of_palettes(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., :2], "LA").save(tmp_path / "grey.png")
    grey = read_picture(tmp_path / "grey.png")
    assert grey.alpha is not None
    np.testing.assert_array_equal(grey.alpha, PIXELS[..., 1])
    np.testing.assert_array_equal(grey.colour[..., 0], PIXELS[..., 0])
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "hole.png", transparency=1)
    hole = read_picture(tmp_path / "hole.png")
    assert hole.alpha is not None
    assert hole.alpha.tolist() == [[255, 0]]
    assert hole.colour[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_sixteen_bits_stay(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = DEEP[..., :channels] if channels else DEEP[..., 0]
    write_deep(tmp_path / f"deep{suffix}", samples)
    picture = read_picture(tmp_path / f"deep{suffix}")
    assert picture.bits == 16
    expected = samples if channels else samples[..., None]
    np.testing.assert_array_equal(picture.colour, expected[..., :3])
    assert (picture.alpha is None) == (channels < 4)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, samples[..., 3])


def test_an_open_file(tmp_path: Path) -> None:
    write_deep(tmp_path / "deep.png", DEEP)
    stream = io.BytesIO((tmp_path / "deep.png").read_bytes())
    np.testing.assert_array_equal(read_picture(stream).colour, DEEP[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_upright_too(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shallow, deep = tmp_path / "shallow.png", tmp_path / "deep.png"
    Image.fromarray(PIXELS[..., :3]).save(shallow, exif=exif)
    write_deep(deep, PIXELS[..., :3].astype(np.uint16) * 257)
    _add_exif(deep, exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(read_picture(deep).colour, read_picture(shallow).colour * np.uint16(257))
    np.testing.assert_array_equal(read_picture(shallow).colour, read_image(shallow))


def _add_exif(path: Path, exif: bytes) -> None:
    """Put an eXIf chunk behind the header of a PNG."""
    body = b"eXIf" + exif
    chunk = struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body))
    encoded = path.read_bytes()
    path.write_bytes(encoded[:33] + chunk + encoded[33:])


def test_rgb_keeps_its_profile(tmp_path: Path) -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "rgb.png", icc_profile=rgb)
    assert read_picture(tmp_path / "rgb.png").metadata.icc_profile == rgb
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert read_picture(tmp_path / "broken.png").metadata.icc_profile is None
    Image.new("LAB", (2, 2)).save(tmp_path / "lab.tif")
    with pytest.raises(UserError, match=r"lab\.tif: is a TIFF of .* of Lab colours, which is not read; save"):
        read_picture(tmp_path / "lab.tif")


def test_a_pillow_image_of_any_mode() -> None:
    for mode in ("RGBA", "LA", "P", "L", "I;16", "F"):
        image = Image.new(mode, (3, 2))
        assert from_pil(image).size == (2, 3)
        assert from_pil(image).grey == (mode not in {"RGBA", "P"})
        assert (from_pil(image).alpha is not None) == (mode in {"RGBA", "LA"})
        assert from_pil(image).bits == (16 if mode in {"I;16", "F"} else 8)


def test_refusals_name_the_file(tmp_path: Path) -> None:
    write_deep(tmp_path / "deep.png", DEEP)
    (tmp_path / "half.png").write_bytes((tmp_path / "deep.png").read_bytes()[:-200])
    (tmp_path / "text.tif").write_text("text")
    for name, said in (
        ("half.png", "is truncated"),
        ("text.tif", "is not a picture"),
        ("no.png", "no such"),
    ):
        with pytest.raises(UserError, match=f"{name}: .*{said}|{name}: {said}"):
            read_picture(tmp_path / name)


def test_a_broken_file_is_one_line(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.tif")
    path = tmp_path / "head.tif"
    path.write_bytes((tmp_path / "a.tif").read_bytes()[:20])
    with pytest.raises(UserError, match=r"head\.tif: cannot be decoded"):
        read_picture(path)
    assert not recwarn.list


@pytest.fixture
def pixels() -> np.ndarray:
    return PIXELS[..., :3]


def test_reads_from_an_open_file(pixels: np.ndarray):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    buffer.seek(0)
    assert np.array_equal(read_image(buffer), pixels)


def test_sixteen_bit_grey_is_scaled(tmp_path: Path):
    levels = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert read_image(tmp_path / name)[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_float_grey_in_unit_range(tmp_path: Path):
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)).save(tmp_path / "float.tif")
    assert read_image(tmp_path / "float.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0.0, np.nan, 40.0]], dtype=np.float32)).save(tmp_path / "hdr.tif")
    with pytest.raises(UserError, match=r"hdr\.tif: holds floating-point samples outside 0 to 1; scale"):
        read_image(tmp_path / "hdr.tif")


@pytest.mark.parametrize(
    ("kind", "largest", "said"),
    [
        (np.uint32, 65535, "holds 32-bit samples, but none above 65535; save it in 16 bits"),
        (np.int32, 65535, "of the type int, which is not read; save it in 8 or 16 bits, unsigned"),
        (np.int16, 32767, "of the type short, which is not read"),
        (np.float32, 255, "floating-point samples outside 0 to 1; scale them"),
        (np.float64, 1, "TIFF of 64-bit floating-point samples"),
    ],
)
def test_samples_of_another_range_are_refused(tmp_path: Path, kind: type, largest: int, said: str):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, largest]], dtype=kind))
    with pytest.raises(UserError, match=rf"a\.tif: .*{said}"):
        read_picture(tmp_path / "a.tif")


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
def test_exif_orientation(tmp_path: Path, pixels: np.ndarray, orientation: int):
    stored = {  # how a camera stores an upright pixels under each orientation (EXIF 2.32, tag 0x0112)
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels),
        7: np.rot90(pixels.transpose(1, 0, 2), 2),
        8: np.rot90(pixels, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), pixels)


def test_embedded_profile_is_converted_and_srgb_is_left_alone(tmp_path: Path, pixels: np.ndarray):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "srgb.png", icc_profile=srgb)
    assert np.array_equal(read_image(tmp_path / "srgb.png"), pixels)
    Image.fromarray(pixels).save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert np.array_equal(read_image(tmp_path / "broken.png"), pixels)


def test_refusals_say_why(tmp_path: Path, pixels: np.ndarray):
    (tmp_path / "notes.png").write_text("not a picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(pixels).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:-60])
    (tmp_path / "empty.jpg").touch()
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    encoded = whole.read_bytes()
    (tmp_path / "bomb.png").write_bytes(encoded[:12] + header + crc + encoded[33:])
    Image.fromarray(pixels).save(tmp_path / "bomb.bmp")
    encoded = (tmp_path / "bomb.bmp").read_bytes()
    (tmp_path / "bomb.bmp").write_bytes(encoded[:18] + struct.pack("<II", 60_000, 60_000) + encoded[26:])
    for name, reason in {
        "absent.png": "no such file",
        "notes.png": "is not a picture",
        "empty.jpg": "is not a picture",
        "half.png": "is truncated",
        "bomb.png": "claims more than",
        "bomb.bmp": "claims more than",
        "": "is a folder",
    }.items():
        with pytest.raises(UserError) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\x0a\0\x10", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_what_is_not_read_is_named_with_the_remedy(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "a.png").write_bytes(start + bytes(100))
    with pytest.raises(UserError, match=f"a.png: is {name}, which is not read; convert it to PNG, TIFF or"):
        read_picture(tmp_path / "a.png")


def test_avif_of_the_common_brand_is_read() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, "AVIF")
    data = file.getvalue()
    assert data[8:12] == b"avif"
    assert read_picture(io.BytesIO(data[:8] + b"mif1" + data[12:])).size == (6, 8)


def test_pillows_limit_of_pixels_is_none_of_this_reader(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it a JPEG lost its comment, CMYK was a negative, and no BMP was read."""
    jpeg, bitmap = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", comment=b"hello")
    Image.fromarray(pixels).save(bitmap, "BMP")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(jpeg).metadata.comment == b"hello"
    np.testing.assert_array_equal(read_image(bitmap), pixels)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WebP", "TIFF", "AVIF", "GIF", "BMP"])
def test_how_many_pixels_a_file_claims_is_known_before(pixels: np.ndarray, form: str) -> None:
    """Of BMP it was not: no limit of a service held it."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, form)
    assert claimed_pixels(stored.getvalue()) == pixels.shape[0] * pixels.shape[1]
    assert claimed_pixels(stored.getvalue()[:20]) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_resolution_is_turned_with_the_picture(orientation: int) -> None:
    stored, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (40, 30)).save(stored, "JPEG", dpi=(300, 150), exif=exif)
    picture = read_picture(stored)
    turned = picture.size == (40, 30)
    assert picture.metadata.resolution is not None
    dpi = tuple(round(each * 25.4) for each in picture.metadata.resolution)
    assert dpi == ((150, 300) if turned else (300, 150))
