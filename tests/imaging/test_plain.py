"""Plain photographs, decoded by OpenCV: the same pixels as libvips's, or none."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from arbiscale.data.stores import as_png
from arbiscale.errors import UserError
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.plain import read_plain
from arbiscale.imaging.reading import read_image
from tests.conftest import photograph
from tests.imaging.test_picture_matrix import SRGB, Made, exif_of, other_files, png_files

WIDE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # of no RGB at all


def saved(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def test_jpegs_of_every_kind_are_read_as_libvips_reads_them():
    shapes, qualities, chroma = ((1, 1), (9, 7), (64, 83), (131, 50)), (10, 75, 95, 100), (0, 1, 2)
    for seed, (shape, quality, sampling, progressive) in enumerate(
        product(shapes, qualities, chroma, (False, True))
    ):
        pixels = photograph(*shape, seed)
        for each in (pixels, pixels[..., 0]):
            data = saved(each, "JPEG", quality=quality, subsampling=sampling, progressive=progressive)
            found = read_plain(data)
            assert found is not None
            np.testing.assert_array_equal(found, read_image(io.BytesIO(data)))


def test_lossless_and_lossy_pictures_are_read_as_libvips_reads_them():
    for seed, shape in enumerate(((2, 3), (64, 83), (131, 50))):
        pixels = photograph(*shape, seed)
        files = [as_png(pixels), saved(pixels, "PNG"), saved(pixels, "PNG", exif=exif_of(1))]
        files += [saved(pixels, "WebP", quality=quality) for quality in (20, 80, 100)]
        for data in files:
            found = read_plain(data)
            assert found is not None
            assert found.flags.c_contiguous
            np.testing.assert_array_equal(found, read_image(io.BytesIO(data)))


def test_pillows_limit_of_pixels_is_none_of_this_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph of 200 megapixels, as telephones take them, is beyond it."""
    pixels = photograph(64, 83, 0)
    files = [saved(pixels, "JPEG"), saved(pixels, "PNG", exif=exif_of(1))]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for data in files:
        assert read_plain(data) is not None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP"])
def test_what_needs_more_is_left_to_libvips(form: str):
    pixels = photograph(16, 24, 0)
    for orientation in range(2, 9):
        assert read_plain(saved(pixels, form, exif=exif_of(orientation))) is None
    assert read_plain(saved(pixels, form, icc_profile=b"not a profile")) is None
    assert read_plain(saved(pixels, form, icc_profile=WIDE)) is None
    if form != "JPEG":
        assert read_plain(saved(np.dstack([pixels, pixels[..., 0]]), form)) is None
    plain = read_plain(saved(pixels, form, icc_profile=SRGB))
    assert (plain is not None) == (form == "JPEG")
    assert read_plain(saved(pixels, form)[:40]) is None


@pytest.mark.parametrize("files", [png_files, other_files])
def test_no_combination_is_read_otherwise(files: Callable[[], Iterator[Made]]):
    for name, data, _, _ in files():
        found = read_plain(data)
        if found is not None:
            np.testing.assert_array_equal(found, read_image(io.BytesIO(data)), err_msg=name)


def test_real_photographs_are_plain_and_read_alike():
    shared = Path(os.environ.get("ARBISCALE_SHARED", "../shared"))
    files = [*sorted((shared / "data/photos_cc0").glob("*.jpg"))[:3], *(shared / "cases").glob("*")]
    if not files:
        pytest.skip("no real photographs here")
    plain = 0
    for file in files:
        if file.suffix not in PHOTOGRAPH_SUFFIXES:
            continue
        found = read_plain(file.read_bytes())
        try:
            expected = read_image(file)
        except UserError:
            continue
        if found is not None:
            plain += 1
            np.testing.assert_array_equal(found, expected, err_msg=file.name)
    assert plain >= 3
