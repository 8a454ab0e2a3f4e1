"""What survives from a file: 16 bits, alpha, EXIF, the profile, the upright pixels."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.formats import find_format
from arbiscale.imaging.formats.layout import Layout
from arbiscale.imaging.picture_files import read_image
from arbiscale.imaging.reading import from_pil, read_picture

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
    np.testing.assert_array_equal(picture.colour, read_image(path))


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
    np.testing.assert_array_equal(grey.colour[..., 2], PIXELS[..., 0])
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
    expected = samples if channels else np.repeat(samples[..., None], 3, axis=2)
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
    import struct
    import zlib

    body = b"eXIf" + exif
    chunk = struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body))
    encoded = path.read_bytes()
    path.write_bytes(encoded[:33] + chunk + encoded[33:])


def test_exif_without_what_no_longer_holds(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    exif.get_ifd(0x8769).update({0x829A: 0.5, 0xA002: 9, 0xA003: 6})
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.jpg", exif=exif)
    kept = Image.Exif()
    kept.load(b"Exif\0\0" + read_picture(tmp_path / "a.jpg").metadata.exif)
    assert dict(kept) == {0x010F: "Camera", 0x8769: kept[0x8769]}
    assert {tag: float(value) for tag, value in kept.get_ifd(0x8769).items()} == {0x829A: 0.5}
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "plain.tif")
    assert read_picture(tmp_path / "plain.tif").metadata.exif == b""
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "broken.png", exif=b"Exif\0\0no exif")
    assert read_picture(tmp_path / "broken.png").metadata.exif == b""


def test_rgb_keeps_its_profile_and_others_become_srgb(tmp_path: Path) -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "rgb.png", icc_profile=rgb)
    assert read_picture(tmp_path / "rgb.png").metadata.icc_profile == rgb
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert read_picture(tmp_path / "broken.png").metadata.icc_profile is None
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.merge("LAB", [Image.new("L", (2, 2), value) for value in (255, 128, 128)]).save(
        tmp_path / "lab.tif", icc_profile=lab
    )
    white = read_picture(tmp_path / "lab.tif")
    assert white.metadata.icc_profile is None
    assert white.colour.min() >= 250


def test_a_pillow_image_of_any_mode() -> None:
    for mode in ("RGBA", "LA", "P", "L", "I;16", "F"):
        image = Image.new(mode, (3, 2))
        assert from_pil(image).colour.shape == (2, 3, 3)
        assert from_pil(image).bits == (16 if mode in {"I;16", "F"} else 8)


def test_refusals_name_the_file(tmp_path: Path) -> None:
    write_deep(tmp_path / "deep.png", DEEP)
    (tmp_path / "half.png").write_bytes((tmp_path / "deep.png").read_bytes()[:-200])
    (tmp_path / "text.tif").write_text("text")
    for name, said in (
        ("half.png", "cannot be decoded"),
        ("text.tif", "is not a picture"),
        ("no.png", "no such"),
    ):
        with pytest.raises(UserError, match=f"{name}: .*{said}|{name}: {said}"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_texts_beyond_ascii_arrive(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Zoë ©".encode()
    owner = "Jörg Müller".encode()
    exif.get_ifd(ExifTags.IFD.Exif)[0xA430] = "x" * len(owner)
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes().replace(b"x" * len(owner), owner))
    metadata = read_picture(tmp_path / "a.jpg").metadata
    layout, stream = Layout(PIXELS.shape[:2], metadata=metadata), io.BytesIO()
    find_format(tmp_path / f"b{suffix}").write(stream, layout, iter([PIXELS[..., :3]]))
    with Image.open(stream) as image:
        assert image.getexif()[0x013B].encode("latin-1").decode() == "Zoë ©"
        owner_there = image.getexif().get_ifd(ExifTags.IFD.Exif)[0xA430]
        assert owner_there.encode("latin-1") == owner


def test_a_broken_file_is_one_line(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.tif")
    path = tmp_path / "head.tif"
    path.write_bytes((tmp_path / "a.tif").read_bytes()[:20])
    with pytest.raises(UserError, match=r"head\.tif: is not a picture"):
        read_picture(path)
    assert not recwarn.list
