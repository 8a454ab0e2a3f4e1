"""Picture files in: upright pixels, known colours, and everything that shall survive, by libvips."""

from __future__ import annotations

import io
import mmap
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile

from arbiscale.errors import UserError, first_line
from arbiscale.imaging.formats import DEEP_ZOOM, FORMATS, png_chunks, recognise
from arbiscale.imaging.formats.deep_zoom import embedded_xmp
from arbiscale.imaging.formats.exif import kept_exif
from arbiscale.imaging.formats.loaders import check_size, load, load_header
from arbiscale.imaging.formats.metadata import blob, kept_metadata, said_resolution
from arbiscale.imaging.formats.profiles import is_srgb, to_srgb
from arbiscale.imaging.picture import Metadata, Picture, Pixels

_COLOURS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "rgb": 3, "cmyk": 4}
_SPACES = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}  # of a profile

pyvips.cache_set_max(0)  # nothing is computed twice


def read_picture(source: Path | BinaryIO) -> Picture:
    """Decode a picture file, whatever its suffix says.

    RGB keeps its colour space and carries the profile on; grey stays grey, in sRGB; CMYK becomes sRGB.
    16 bits stay; 32-bit integers and floating point in [0, 1] become 16 bits. Of several frames or
    pages the first counts. What is wrong with the file, or left out, stands in `Picture.problems`.

    Args:
        source: a file, pipe or open file.

    Raises:
        UserError: the file is missing, not a picture, damaged, implausibly large or of samples that are
            not read.
    """
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "image"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on broken metadata
            return _decode(_content(source))
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name}: is a folder; name a picture file") from None
    except PermissionError:
        raise UserError(f"{name}: may not be read; check its permissions") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror or error})") from None
    except (pyvips.Error, ValueError) as error:
        raise UserError(f"{name}: {first_line(error)}") from None


def read_image(source: Path | BinaryIO) -> NDArray[np.uint8]:
    """Decode a picture upright, in 8-bit sRGB, transparency laid on white; shape (height, width, 3).

    Raises:
        UserError: as `read_picture`.
    """
    return as_srgb(read_picture(source))


def read_metadata(path: Path) -> Metadata:
    """The XMP and the texts of a picture file of any size; its pixels are not decoded.

    Raises:
        UserError: the file is missing or not a picture.
    """
    try:
        with path.open("rb") as stream:
            name, text = recognise(stream.read(32)), {}
            if name == "PNG":
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    text = png_chunks.texts(data)
        if name is None and path.suffix == DEEP_ZOOM:
            return Metadata(xmp=embedded_xmp(path))
        if name is None:
            raise UserError(f"{path}: is not a picture that can be read")
        image = load_header(name, pyvips.Source.new_from_file(str(path)))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (pyvips.Error, ValueError) as error:
        raise UserError(f"{path}: {first_line(error)}") from None
    return Metadata(xmp=blob(image, "xmp-data"), text=text)


def claimed_pixels(data: bytes) -> int:
    """How many pixels a file says it holds, before any is decoded; 0 where it says nothing that is known."""
    name = recognise(data[:32])
    try:
        if name == "BMP":
            header: Any = BmpImageFile(io.BytesIO(data))
        else:
            header = load_header(name, pyvips.Source.new_from_memory(data)) if name else None
    except (pyvips.Error, OSError, SyntaxError, ValueError):
        return 0  # the reader says what is wrong
    return int(header.width * header.height) if header else 0


def as_srgb(picture: Picture) -> NDArray[np.uint8]:
    """A picture's colours in 8-bit sRGB, transparency laid on white; shape (height, width, 3)."""
    colour = picture.colour
    profile = picture.metadata.icc_profile
    if profile is not None and not is_srgb(profile):
        space = "srgb" if picture.bits == 8 else "rgb16"
        image = pyvips.Image.new_from_array(colour).copy(interpretation=space)
        colour = to_srgb(image, profile, depth=picture.bits).numpy()
    if picture.alpha is not None:
        largest = np.iinfo(colour.dtype).max
        opacity = picture.alpha[..., None].astype(np.uint64)
        white = (largest - opacity) * largest
        colour = ((colour * opacity + white + largest // 2) // largest).astype(colour.dtype)
    if colour.dtype == np.uint16:
        colour = ((colour.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else np.ascontiguousarray(colour)


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode: as its file holds it, where Pillow has not decoded it yet.

    Raises:
        UserError: it is broken, closed, or of samples that are not read.
    """
    if (stored := _undecoded(image)) is None:
        try:
            stored = _as_tiff(image)
        except Exception as error:  # Pillow's plugins raise nearly anything on broken files
            raise UserError(f"the picture: cannot be decoded ({first_line(error)})") from None
    stored.name = "the picture"
    return read_picture(stored)


def _undecoded(image: Image.Image) -> io.BytesIO | None:
    """The file of an image that is as it was opened; None where Pillow alone knows its pixels."""
    stream = getattr(image, "fp", None)
    if stream is None or not getattr(image, "tile", None) or getattr(image, "decoderconfig", None):
        return None  # decoded, or to be decoded smaller
    if image.tell() or stream.closed or not stream.seekable():
        return None
    place = stream.tell()  # where Pillow would read on
    stream.seek(0)
    content = stream.read()
    stream.seek(place)
    known = {form.name for form in FORMATS.values()}
    return io.BytesIO(content) if recognise(content[:32]) in known else None


def _as_tiff(image: Image.Image) -> io.BytesIO:
    stored, plain = io.BytesIO(), image
    image.load()  # which turns a TIFF upright, and its EXIF with it
    if image.mode in {"P", "PA", "La", "RGBa", "HSV", "RGBX"}:
        plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "I":
        values = np.asarray(image)
        if values.min() < 0 or not (255 < values.max() <= 65535 or values.max() == 0):
            raise ValueError("grey values outside 0 to 65535, or none above 255; give them in 8 or 16 bits")
        plain = Image.fromarray(values.astype(np.uint16))
    profile = image.info.get("icc_profile")
    read, exif = image.getexif(), Image.Exif()  # a TIFF's is about its strips and tiles, too
    exif.load(b"Exif\0\0" + kept_exif(read.tobytes()))
    exif[ExifTags.Base.Orientation] = read.get(ExifTags.Base.Orientation, 1)
    plain.save(stored, "TIFF", exif=exif, **({"icc_profile": profile} if profile else {}))
    return stored


def _content(source: Path | BinaryIO) -> bytes:
    """All of a file; a pipe can be read only once."""
    if not isinstance(source, Path):
        if source.seekable():
            source.seek(0)
        return source.read()
    with source.open("rb") as stream:
        return stream.read()


def _decode(data: bytes) -> Picture:
    name = recognise(data[:32])
    if name is None:
        raise ValueError("is not a picture that can be read (PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP)")
    if name == "BMP":  # libvips has no reader of its own
        check_size(claimed_pixels(data))
        try:
            with BmpImageFile(io.BytesIO(data)) as bitmap:
                name, data = "TIFF", _as_tiff(bitmap).getvalue()
        except Exception as error:
            raise ValueError(f"cannot be decoded ({first_line(error)}); replace or remove it") from None
    image, profile, problems = load(name, data)
    return _upright(image, profile, data, name, problems)


def _upright(image: Any, profile: bytes | None, data: bytes, name: str, problems: list[str]) -> Picture:
    """A decoded image as a picture."""
    resolution = said_resolution(image)
    image = _in_whole_bits(image.autorot())
    channels = _COLOURS.get(image.interpretation)
    if channels is None or image.bands not in {channels, channels + 1}:
        raise ValueError(
            f"holds {image.bands} channels ({image.interpretation}); save it as grey, RGB or RGBA"
        )
    profile = blob(image, "icc-profile-data") or profile
    image, profile = _in_known_colours(image, profile, problems)
    pixels: Pixels = image.numpy().reshape(image.height, image.width, image.bands)
    colours = 1 if pixels.shape[2] < 3 else 3
    metadata = replace(kept_metadata(image, name, data), icc_profile=profile, resolution=resolution)
    alpha = np.ascontiguousarray(pixels[..., colours]) if pixels.shape[2] > colours else None
    return Picture(np.ascontiguousarray(pixels[..., :colours]), alpha, metadata, tuple(problems))


def _in_whole_bits(image: Any) -> Any:
    """Samples of 8 or 16 bits; raises ValueError for what cannot be scaled to them."""
    form = image.format
    if form in {"uchar", "ushort"}:
        return image
    grey = image.interpretation in {"b-w", "grey16", "multiband"} and image.bands < 3
    space = "grey16" if grey else "rgb16"
    if form in {"float", "double"}:
        values = image.numpy()
        if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN fails too
            raise ValueError(
                "holds floating-point samples outside 0 to 1; scale them to 0 to 1, or to 16 bits"
            )
        return (image * 65535).rint().cast("ushort").copy(interpretation=space)
    if form == "uint":
        if 0 < image.max() <= 65535:
            raise ValueError("holds 32-bit samples, but none above 65535; save it in 16 bits")
        return (image / 65537).rint().cast("ushort").copy(interpretation=space)
    raise ValueError(
        f"holds samples of the type {form}, which is not read; save it in 8 or 16 bits, unsigned"
    )


def _in_known_colours(image: Any, profile: bytes | None, problems: list[str]) -> tuple[Any, bytes | None]:
    """RGB with its profile (None = sRGB), or grey; of 8 or 16 bits."""
    depth = 8 if image.format == "uchar" else 16
    channels = _COLOURS[image.interpretation]
    try:
        if profile and _SPACES.get(profile[16:20]) == channels:
            if channels == 3:
                is_srgb(profile)  # raises for a broken one
                return image, profile
            if channels == 1 and is_srgb(profile):
                return image, None
            converted = to_srgb(image, profile, depth=depth)
            return _grey(converted) if channels == 1 else converted, None
        if profile:
            problems.append("its colour profile is of other colours than the picture, or broken")
    except pyvips.Error:
        problems.append("its colour profile is broken")
    return _without_ink(image) if channels == 4 else image, None


def _without_ink(image: Any) -> Any:
    """CMYK without a profile as viewers show it: each colour is what its ink and black leave."""
    largest = 255 if image.format == "uchar" else 65535
    left = largest - image[:4]
    colours = (left[:3] * left[3] / largest).rint().cast(image.format)
    colours = colours.copy(interpretation="srgb" if largest == 255 else "rgb16")
    return colours.bandjoin(image[4]) if image.bands == 5 else colours


def _grey(image: Any) -> Any:
    """One channel, and alpha, of three equal ones."""
    return image.extract_band(1).bandjoin(image[3]) if image.bands == 4 else image.extract_band(1)
