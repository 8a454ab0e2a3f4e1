"""What a PNG's chunks say of its colours, its texts, and chunks that are damaged."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image, read_metadata, read_picture

COLOURS = np.array([[[200, 100, 50], [30, 140, 90], [128, 128, 128], [90, 80, 160]]], np.uint8)
P3_TO_SRGB = np.array([[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0196, -0.0786, 1.0982]])


def png(*chunks: tuple[bytes, bytes], pixels: np.ndarray = COLOURS) -> io.BytesIO:
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    encoded = stored.getvalue()
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return io.BytesIO(encoded[:33] + added + encoded[33:])


def linear(levels: np.ndarray) -> np.ndarray:
    values = levels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def levels(values: np.ndarray) -> np.ndarray:
    values = values.clip(0, 1)
    return 255 * np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def test_display_p3_by_cicp() -> None:
    expected = levels(linear(COLOURS) @ P3_TO_SRGB.T)
    stream = png((b"cICP", bytes([12, 13, 0, 1])))
    assert np.abs(read_image(stream) - expected).max() <= 1.5
    assert read_picture(stream).metadata.icc_profile is not None  # carried on


def test_linear_light_by_gamma_alone_and_with_primaries_that_are_none() -> None:
    expected = levels(COLOURS / 255)
    for chunks in ([], [(b"cHRM", bytes(32))]):
        stream = png((b"gAMA", struct.pack(">I", 100_000)), *chunks)
        assert np.abs(read_image(stream) - expected).max() <= 1
    grey = png((b"gAMA", struct.pack(">I", 100_000)), pixels=COLOURS[..., 0])
    assert read_picture(grey).grey
    assert np.abs(read_image(grey)[..., 0] - expected[..., 0]).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([1, 13, 0, 1]))],
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"gAMA", bytes(4))],
    ],
)
def test_what_says_srgb_or_nothing(chunks: list[tuple[bytes, bytes]]) -> None:
    assert read_picture(png(*chunks)).metadata.icc_profile is None
    np.testing.assert_array_equal(read_image(png(*chunks)), COLOURS)


def test_high_dynamic_range_is_refused() -> None:
    with pytest.raises(UserError, match=r"colours of cICP 9/16, such as HDR, are not read: save it as sRGB"):
        read_picture(png((b"cICP", bytes([9, 16, 0, 1]))))


def test_a_damaged_chunk_is_left_out_or_the_file_refused() -> None:
    encoded = bytearray(png((b"tEXt", b"a\0b")).getvalue())
    encoded[33 + 8] ^= 1
    picture = read_picture(io.BytesIO(bytes(encoded)))
    assert picture.problems == ("its chunk tEXt is damaged and was left out",)
    np.testing.assert_array_equal(picture.colour, COLOURS)
    encoded[18] ^= 1  # the width
    with pytest.raises(UserError, match="its chunk 'IHDR' is damaged; replace or remove it"):
        read_picture(io.BytesIO(bytes(encoded)))


@pytest.mark.parametrize("body", ["\0café".encode("latin-1"), "\0café".encode()])
def test_texts_in_latin_1_and_in_utf_8_instead(tmp_path: Path, body: bytes) -> None:
    """libvips made U+FFFD of the former, and a key beyond ASCII had the whole picture refused."""
    packed = b"\0" + zlib.compress(body[1:])
    chunks = [
        (b"tEXt", "Überschrift".encode("latin-1") + body),
        (b"zTXt", b"Creation Time\0" + packed),
        (b"iTXt", b"Title\0\1\0fr\0titre\0" + zlib.compress("café".encode())),
        (b"iTXt", b"Author\0\0\0\0\0" + "café".encode()),
    ]
    expected = dict.fromkeys(["Überschrift", "Creation Time", "Title", "Author"], "café")
    picture = png(*chunks, (b"tEXt", b"\0nameless"), (b"zTXt", b"Damaged\0\0no stream"))
    assert read_picture(picture).metadata.text == expected
    (tmp_path / "a.png").write_bytes(picture.getvalue())
    assert read_metadata(tmp_path / "a.png").text == expected


def test_texts_take_no_memory_without_end() -> None:
    packed = b"\0" + zlib.compress(bytes(40 << 20))  # 40 KB
    kept = read_picture(png(*((b"zTXt", b"%d\0" % number + packed) for number in range(5)))).metadata.text
    assert {key: len(text) for key, text in kept.items()} == {"0": 40 << 20}
