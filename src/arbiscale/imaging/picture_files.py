"""Picture files: read as 8-bit sRGB whatever they hold, written by their suffix."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.imaging.formats import find_format

WIDE_GREY_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})

_OPTIONS: dict[str, dict[str, Any]] = {  # of Pillow's writers, by format
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WebP": {"quality": 95},
    "TIFF": {"compression": "tiff_deflate"},
}


def read_image(source: Path | str | BinaryIO) -> NDArray[np.uint8]:
    """Decode a picture upright, in 8-bit sRGB, transparency laid on white; shape (height, width, 3).

    Embedded colour profiles are honoured (CMYK, Adobe RGB, Display P3). Of several frames the first counts.

    Raises:
        UserError: the file is missing, not a picture, truncated, implausibly large or of unknown range.
    """
    with decoded(source) as image:
        return np.array(_to_rgb(upright(image)), dtype=np.uint8)


@contextmanager
def decoded(source: Path | str | BinaryIO) -> Iterator[Image.Image]:
    """A picture file as Pillow decodes it; whatever goes wrong with it, inside the block too, is one line.

    Raises:
        UserError: the file is missing, not a picture, truncated, implausibly large or of unknown range.
    """
    name = str(source) if isinstance(source, Path | str) else str(getattr(source, "name", "image"))
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels, which cameras reach, and refuses twice that.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                image.load()
                yield image
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name}: is a folder; name a picture file") from None
    except PermissionError:
        raise UserError(f"{name}: may not be read; check its permissions") from None
    except UnidentifiedImageError:
        raise UserError(f"{name}: is not a picture that can be read (PNG, JPEG, WebP, TIFF)") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(f"{name}: claims more than {limit:,} pixels; cut or shrink it first") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on broken files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name}: cannot be decoded ({reason}); replace or remove it") from None


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write 8-bit RGB pixels (height, width, 3) in the format of the path's suffix, whole or not at all.

    Raises:
        UserError: unknown suffix, or a size or place that cannot be written.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"expected uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}")
    name = find_format(path, pixels.shape[:2]).name
    encoded = io.BytesIO()
    try:
        Image.fromarray(pixels).save(encoded, name.upper(), **_OPTIONS[name])
    except (OSError, ValueError) as error:  # such as WebP's limit of 16,383 px
        raise UserError(f"{path}: {name} cannot hold it ({error}); choose another suffix") from None
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken metadata says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's colour modes as RGB."""
    if image.mode in WIDE_GREY_MODES:
        return _from_wide_grey(image)
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        canvas = Image.new("RGBA", opaque.size, "white")
        canvas.alpha_composite(opaque)
        return to_srgb(canvas.convert("RGB"), image.info.get("icc_profile"))
    if image.mode in {"P", "1", "YCbCr"}:
        image = image.convert("RGB")
    return to_srgb(image, image.info.get("icc_profile")).convert("RGB")


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or floating point in [0, 1], as 8-bit RGB."""
    grey = np.rint(wide_grey(image) * 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def wide_grey(image: Image.Image) -> NDArray[np.float64]:
    """Grey of 16 bits, or floating point, in [0, 1]; raises ValueError for values of another range."""
    values = np.asarray(image, dtype=np.float64)
    largest = 1.0 if image.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= largest):  # written so that NaN fails too
        raise ValueError(f"grey values outside 0 to {largest:g}")
    if image.mode == "I" and 0 < values.max() <= 255:  # would come out black
        raise ValueError("32 bits a sample, but none above 255: save it in 8 bits")
    return values / largest


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours of an embedded ICC profile in sRGB; unchanged without one, or where it is sRGB already."""
    if not profile:
        return image
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(embedded).lower():
            return image
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, embedded, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # as viewers do: a broken profile is no profile
        return image
    return converted or image
