"""Small files that users of image tools ran into (shared/cases): read right, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.reading import as_srgb, from_pil, read_image, read_picture

GREY = np.array([0.299, 0.587, 0.114])

AS_MARKED = [
    "jpg-cmyk-noadobe.jpg",
    "jpg-missing-eoi.jpg",
    "marked.png",
    "png-bad-iccp-crc.png",
    "png-g8.png",
    "png-gama1-16.png",
    "png-ztxt-huge.png",
    "tif-cmyk16.tif",
    "tif-g16-miw.tif",
    "tif-orient6-CMYK-uncompressed.tif",
    "tif-orient6-L-uncompressed.tif",
    "tif-orient6-L-zlib-control.tif",
    "tif-rgb16-planar.tif",
    "tif-rgbf32.tif",
    "tif-rgbu32.tif",
    "tif-u32.tif",
]
REFUSED = {
    "eps-named.png": "is PostScript, which is not read; convert it",
    "photo-is-heic.jpg": "is HEIC, which is not read; convert it",
    "tif-5band16.tif": "holds 5 channels",
    "tif-f32-255.tif": "floating-point samples outside 0 to 1; scale them",
    "tif-f64.tif": "TIFF of 64-bit floating-point samples",
    "tif-s16.tif": "samples of the type short, which is not read; save it in 8 or 16 bits",
}


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def error_px(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(((found.astype(float) - expected) ** 2).mean()))


@pytest.mark.parametrize("name", AS_MARKED)
def test_it_is_the_marked_picture(cases: Path, name: str) -> None:
    truth = read_image(cases / "marked.png")
    picture = read_picture(cases / name)
    found = as_srgb(picture)
    assert found.shape == truth.shape
    assert error_px(found, truth @ GREY[:, None] if picture.grey else truth) < 3
    assert bool(picture.problems) == (name in {"jpg-missing-eoi.jpg", "png-bad-iccp-crc.png"})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_it_is_refused_in_one_line(cases: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        read_picture(cases / name)
    assert REFUSED[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tif-rgba16-as.tif", "tif-ga16.tif", "png-g16-trns.png"])
def test_alpha_is_straight(cases: Path, name: str) -> None:
    truth, picture = read_image(cases / "marked.png"), read_picture(cases / name)
    assert picture.alpha is not None
    seen = picture.alpha > 0.1 * 65535
    assert 0.2 < seen.mean() <= 1
    expected = truth @ GREY[:, None] if picture.grey else truth
    assert error_px((picture.colour / 257)[seen], expected[seen]) < 1


@pytest.mark.parametrize("name", ["png-g16-greyicc.png", "png-ga16-greyicc.png"])
def test_profiles_of_grey_are_honoured_in_16_bits(cases: Path, name: str) -> None:
    stored = read_image(cases / "marked.png") @ GREY / 255
    linear = stored**1.8
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    picture = read_picture(cases / name)
    assert picture.grey
    assert error_px(picture.colour[..., 0] / 257, expected) < 2


def test_a_profile_is_known_by_its_content(cases: Path) -> None:
    mean = read_image(cases / "linear-srgb.png").mean((0, 1))
    assert np.abs(mean - [101, 76, 62]).max() < 1.5


def test_what_belongs_to_the_picture_is_read(cases: Path) -> None:
    photograph, text = (read_picture(cases / name).metadata for name in ("full.jpg", "text.png"))
    assert photograph.comment == b"hello"
    assert b'xmp:Rating="5"' in photograph.xmp
    assert photograph.icc_profile is not None
    assert photograph.exif
    assert text.text["parameters"].startswith("a cat")
    for metadata in (photograph, text):
        assert metadata.resolution is not None
        assert [round(each * 25.4) for each in metadata.resolution] == [300, 300]


PILLOW_OPENS = [
    "full.jpg",
    "jpg-cmyk-noadobe.jpg",
    "jpg-missing-eoi.jpg",
    "linear-srgb.png",
    "png-g16-trns.png",
    "png-ga16-greyicc.png",
    "png-gama1-16.png",
    "png-p3.png",
    "tif-cmyk16.tif",
    "tif-orient6-CMYK-uncompressed.tif",
    "tif-orient6-L-uncompressed.tif",
    "tif-orient6-L-zlib-control.tif",
    "tif-rgb16-planar.tif",
    "tif-rgba16-as.tif",
    "tif-u32.tif",
]


@pytest.mark.parametrize("name", PILLOW_OPENS)
def test_an_image_that_pillow_opened_is_read_as_its_file(cases: Path, name: str) -> None:
    expected = read_picture(cases / name)
    with Image.open(cases / name) as image:
        found = from_pil(image)
        assert found.problems == expected.problems
        assert np.array_equal(as_srgb(found), as_srgb(expected))


def test_an_image_that_pillow_decoded_is_upright_and_as_it_was_changed(cases: Path) -> None:
    with Image.open(cases / "marked.png") as image:
        from_pil(image)
        assert np.array_equal(np.asarray(image), read_image(cases / "marked.png"))  # Pillow reads on
        image.putpixel((0, 0), (1, 2, 3))
        assert from_pil(image).colour[0, 0].tolist() == [1, 2, 3]
    with Image.open(cases / "tif-orient6-L-zlib-control.tif") as image:
        image.load()
        assert np.array_equal(from_pil(image).colour, read_picture(Path(image.filename)).colour)
    with Image.open(cases / "full.jpg") as image:
        image.draft("RGB", (image.width // 2, image.height // 2))
        assert from_pil(image).size == image.size  # turned: (height, width)
