from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from arbiscale.imaging.formats import find_format
from arbiscale.imaging.reading import read_picture
from arbiscale.imaging.writing import Layout, write_bands

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def test_exif_without_what_no_longer_holds(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    exif.get_ifd(0x8769).update({0x829A: 0.5, 0xA002: 9, 0xA003: 6})
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    kept = Image.Exif()
    kept.load(b"Exif\0\0" + read_picture(tmp_path / "a.jpg").metadata.exif)
    assert dict(kept) == {0x010F: "Camera", 0x8769: kept[0x8769]}
    assert {tag: float(value) for tag, value in kept.get_ifd(0x8769).items()} == {0x829A: 0.5}
    Image.fromarray(PIXELS).save(tmp_path / "plain.tif")
    assert read_picture(tmp_path / "plain.tif").metadata.exif == b""
    Image.fromarray(PIXELS).save(tmp_path / "broken.png", exif=b"Exif\0\0no exif")
    assert read_picture(tmp_path / "broken.png").metadata.exif == b""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_texts_beyond_ascii_arrive(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Zoë ©".encode()
    owner = "Jörg Müller".encode()
    exif.get_ifd(ExifTags.IFD.Exif)[0xA430] = "x" * len(owner)
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes().replace(b"x" * len(owner), owner))
    metadata = read_picture(tmp_path / "a.jpg").metadata
    layout, path = Layout(PIXELS.shape[:2], metadata=metadata), tmp_path / f"b{suffix}"
    with path.open("w+b") as stream:
        write_bands(stream, find_format(path), layout, iter([PIXELS]))
    with Image.open(path) as image:
        assert image.getexif()[0x013B].encode("latin-1").decode() == "Zoë ©"
        owner_there = image.getexif().get_ifd(ExifTags.IFD.Exif)[0xA430]
        assert owner_there.encode("latin-1") == owner
