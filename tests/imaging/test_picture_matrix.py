"""Every combination of format, samples, layout, orientation, profile, alpha and metadata is read right.

The files are written by other code than is tested (tifffile, Pillow, and a PNG writer of a few lines); what
is right is known from the pixels that they were made of.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from arbiscale.errors import UserError
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.reading import as_srgb, read_picture

Made = tuple[str, bytes, np.ndarray, int]  # name, file, levels of 16 bits, tolerance

RNG = np.random.default_rng(0)
TRUTH = RNG.integers((0, 0, 0, 128), 256, (5, 7, 4)).astype(np.uint16) * 257  # the same in 8 bits
ORIENTATIONS = range(1, 9)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture under an orientation (EXIF 2.32, tag 0x0112)."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, 3),
    }[orientation]
    return np.ascontiguousarray(turned)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, "Painter"
    return exif


def levels(picture: Picture) -> np.ndarray:
    """Colours, and alpha, in 16 bits."""
    parts = [picture.colour] if picture.alpha is None else [picture.colour, picture.alpha[..., None]]
    return np.concatenate(parts, 2).astype(int) * (257 if picture.bits == 8 else 1)


def tiff_files() -> Iterator[Made]:
    """A name, the file, what is right, and how far off it may be."""
    samples = ("uint8", "uint16", "uint32", "float32")
    alphas = ("none", "unassalpha", "assocalpha")
    choices = product(samples, ("minisblack", "miniswhite", "rgb"), alphas, ORIENTATIONS)
    for kind, photometric, alpha, orientation in choices:
        if photometric == "miniswhite" and (alpha != "none" or kind in {"uint32", "float32"}):
            continue
        colours = 3 if photometric == "rgb" else 1
        right = (
            np.concatenate([TRUTH[..., :colours], TRUTH[..., 3:]], 2)
            if alpha != "none"
            else TRUTH[..., :colours]
        )
        values = right / 65535
        if alpha == "assocalpha":
            values = np.concatenate([values[..., :-1] * values[..., -1:], values[..., -1:]], 2)
        if photometric == "miniswhite":
            values = 1 - values
        largest = {"uint8": 255, "uint16": 65535, "uint32": 2**32 - 1, "float32": 1}[kind]
        pixels = stored(
            values * largest if kind == "float32" else np.rint(values * largest), orientation
        ).astype(kind)
        for planar, compression, order, big, tiled in product(
            ("contig", "separate"), (None, "zlib"), ("<", ">"), (False, True), (False, True)
        ):
            if planar == "separate" and pixels.shape[2] == 1:
                continue
            if (order, big) == (">", True) or (tiled and compression is None):  # enough is enough
                continue
            file = io.BytesIO()
            with tifffile.TiffWriter(file, bigtiff=big, byteorder=order) as writer:
                data = pixels.transpose(2, 0, 1) if planar == "separate" else pixels
                writer.write(
                    data if data.shape[-1] > 1 or planar == "separate" else data[..., 0],
                    photometric=photometric,
                    planarconfig=planar if pixels.shape[2] > 1 else None,
                    extrasamples=None if alpha == "none" else [alpha],
                    compression=compression,
                    tile=(16, 16) if tiled else None,
                    extratags=[(274, 3, 1, orientation, True)],
                    metadata=None,
                )
            layout = f"{planar} {compression} {order} {big} {tiled}"
            name = f"tiff {kind} {photometric} {alpha} {orientation} {layout}"
            yield name, file.getvalue(), right, 260 if alpha == "assocalpha" and kind == "uint8" else 1


def png(pixels: np.ndarray, bits: int, colour_type: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of samples (height, width, channels), with chunks before the pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, channels = pixels.shape
    if bits < 8:
        spread = np.unpackbits(pixels.astype(np.uint8)[..., None], axis=-1)[..., -bits:]
        packed = np.packbits(spread.reshape(height, width * channels * bits), axis=1)
    else:
        packed = pixels.astype(">u2" if bits == 16 else np.uint8).view(np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = zlib.compress(np.pad(packed, [(0, 0), (1, 0)]).tobytes())
    before = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def png_files() -> Iterator[Made]:
    kinds = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
    kinds += [(4, 8), (4, 16), (6, 8), (6, 16)]
    palette = RNG.integers(0, 256, (256, 3))
    for (colour_type, bits), orientation, keyed, profile, text in product(
        kinds, ORIENTATIONS, (False, True), ("none", "iCCP", "sRGB", "gAMA"), (False, True)
    ):
        if keyed and colour_type > 3:
            continue
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
        largest = 2**bits - 1
        picked = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
        samples = TRUTH[..., picked].astype(np.uint32) * largest // 65535
        chunks: list[tuple[bytes, bytes]] = []
        if profile == "iCCP" and colour_type in {2, 3, 6}:
            chunks.append((b"iCCP", b"any\0\0" + zlib.compress(SRGB)))
        if profile == "sRGB":
            chunks.append((b"sRGB", b"\0"))
        if profile == "gAMA":
            chunks.append((b"gAMA", struct.pack(">I", 45455)))
        right = (samples * (65535 // largest)).astype(int)
        if colour_type == 3:
            chunks.append((b"PLTE", palette[: largest + 1].astype(np.uint8).tobytes()))
            right = palette[samples[..., 0]] * 257
        if keyed:
            key = samples[0, 0]
            seen = np.where((samples == key).all(-1, keepdims=True), 0, 65535)
            body = struct.pack(f">{channels}H", *map(int, key))
            if colour_type == 3:
                body = bytes(0 if index == key[0] else 255 for index in range(largest + 1))
            chunks.append((b"tRNS", body))
            right = np.concatenate([right, seen], 2)
        chunks.append((b"eXIf", exif_of(orientation).tobytes().removeprefix(b"Exif\0\0")))
        if text:
            chunks.append((b"tEXt", b"parameters\0a cat"))
        name = f"png {colour_type} {bits} {orientation} {keyed} {profile} {text}"
        yield name, png(stored(samples, orientation), bits, colour_type, chunks), right, 0


def other_files() -> Iterator[Made]:
    smooth = np.linspace(60, 200, 16)[:, None, None] + np.array([-40, 0, 40]) + np.zeros((16, 24, 3))
    smooth = np.concatenate([smooth, np.linspace(128, 255, 24)[None, :, None].repeat(16, 0)], 2).astype(
        np.uint8
    )
    ways = [
        ("JPEG", mode, {"quality": 100, "subsampling": 0, "progressive": progressive})
        for mode in ("L", "RGB", "CMYK")
        for progressive in (False, True)
    ]
    ways += [("WEBP", mode, {"lossless": True, "exact": True}) for mode in ("RGB", "RGBA")]
    ways += [("AVIF", mode, {"quality": 100, "subsampling": "4:4:4"}) for mode in ("RGB", "RGBA")]
    for (form, mode, options), orientation, profile in product(ways, ORIENTATIONS, (None, SRGB)):
        channels = {"L": [0], "RGB": [0, 1, 2], "CMYK": [0, 1, 2], "RGBA": [0, 1, 2, 3]}[mode]
        right = smooth[..., channels]
        image = Image.fromarray(np.squeeze(stored(right, orientation)))
        if profile and mode in {"RGB", "RGBA"}:
            options = {**options, "icc_profile": profile}
        file = io.BytesIO()
        image.convert(mode).save(file, form, exif=exif_of(orientation), **options)
        yield (
            f"{form} {mode} {orientation} {bool(profile)} {options}",
            file.getvalue(),
            right.astype(int) * 257,
            257 * 4,
        )
    for form, mode in product(("BMP", "GIF"), ("L", "RGB", "1", "P")):
        image = Image.fromarray(smooth[..., :3]).convert(mode)
        file = io.BytesIO()
        image.save(file, form)
        with Image.open(file) as back:
            right = np.asarray(back.convert("RGB")).astype(int) * 257
        yield f"{form} {mode}", file.getvalue(), right, 0


REFUSED = ("and alpha in planes", "premultiplied by alpha", "tiled separate planes")  # what libvips cannot
LEAST = {"tiff": 2000, "png": 1500, "other": 150}  # that are read


@pytest.mark.parametrize("files", [tiff_files, png_files, other_files])
def test_every_combination_is_read_right_or_refused_in_one_line(files: Callable[[], Iterator[Made]]) -> None:
    wrong, count, refused = [], 0, 0
    for name, data, right, tolerance in files():
        count += 1
        try:
            picture = read_picture(io.BytesIO(data))
        except UserError as error:
            refused += 1
            if not any(each in str(error) for each in REFUSED):
                wrong.append(f"{name}: {error}")
            continue
        found = levels(picture)
        if found.shape[2] == 1 and right.shape[2] == 3:
            found = found.repeat(3, 2)
        if found.shape != right.shape or np.abs(found - right.astype(int)).max() > tolerance:
            off = np.abs(found - right.astype(int)).max() if found.shape == right.shape else found.shape
            wrong.append(f"{name}: {off}")
        assert as_srgb(picture).shape == (*picture.size, 3)
    assert not wrong, f"{len(wrong)} of {count}: " + "\n".join(wrong[:15])
    assert count - refused >= LEAST[files.__name__.partition("_")[0]]
