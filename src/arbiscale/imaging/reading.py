"""Picture files with everything that shall survive: 16 bits, alpha, EXIF, colour profile."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from arbiscale.imaging.picture import Metadata, Picture, Pixels, as_stored
from arbiscale.imaging.picture_files import WIDE_GREY_MODES, decoded, to_srgb, upright, wide_grey

_KEPT_TAGS = (  # of the picture, not of how one file stores it
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
_KEPT_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_ABOUT_SIZE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.Base.MakerNote)


def read_picture(source: Path | BinaryIO) -> Picture:
    """Decode a picture file.

    Args:
        source: a file, or an open one that can be sought.

    Raises:
        UserError: as `arbiscale.imaging.picture_files.read_image`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on broken metadata
        with decoded(source) as image:
            if _bits(image, source) <= 8 or image.mode in WIDE_GREY_MODES:
                return from_pil(image)
            samples = _turn(_decode_deep(source), image.getexif().get(ExifTags.Base.Orientation, 1))
            alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
            return Picture(np.ascontiguousarray(samples[..., :3]), alpha, _metadata(image))


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode; grey of 16 bits and floating point become 16-bit RGB.

    RGB values keep their colour space and carry its profile on; other colours become sRGB.
    """
    metadata = _metadata(image)
    image = upright(image)
    if image.mode in WIDE_GREY_MODES:
        grey: Pixels = np.rint(wide_grey(image) * 65535).astype(np.uint16)
        return Picture(np.repeat(grey[..., None], 3, axis=2), None, metadata)
    alpha = None
    if image.has_transparency_data:
        alpha = np.array(image.convert("RGBA").getchannel("A"))
    if image.mode in {"P", "PA", "RGBA", "RGBa"}:
        image = image.convert("RGBA" if alpha is not None else "RGB").convert("RGB")
    if metadata.icc_profile is None and image.mode not in {"RGB", "P"}:
        plain = image.convert("L") if image.mode in {"LA", "La"} else image
        image = to_srgb(plain, image.info.get("icc_profile"))
    return Picture(np.array(image.convert("RGB")), alpha, metadata)


def _metadata(image: Image.Image) -> Metadata:
    profile = image.info.get("icc_profile")
    return Metadata(_exif(image), profile if profile and _is_rgb(profile) else None)


def _exif(image: Image.Image) -> bytes:
    """EXIF of an upright picture of another size; empty where there is none, or a broken one."""
    try:
        found = image.getexif()
        kept = Image.Exif()
        for tag in _KEPT_TAGS:
            if tag in found:
                kept[tag] = as_stored(found[tag])
        for folder in _KEPT_FOLDERS:
            there = found.get_ifd(folder)
            values = {tag: as_stored(there[tag]) for tag in there if tag not in _ABOUT_SIZE}
            if values:
                kept.get_ifd(folder).update(values)
        return (
            kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) or kept.get_ifd(_KEPT_FOLDERS[0]) else b""
        )
    except Exception:  # broken metadata says nothing about the pixels
        return b""


def _is_rgb(profile: bytes) -> bool:
    """Whether a profile describes RGB values."""
    try:
        space: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return str(space).strip() == "RGB"


def _bits(image: Image.Image, source: Path | BinaryIO) -> int:
    """Bits of a sample in the file, which Pillow decodes as 8 for colours."""
    if image.format == "PNG":
        return _encoded(source, 25)[24]  # of the header chunk, always first
    if image.format == "TIFF":
        values: Any = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return int(max(values))
    return 8


def _decode_deep(source: Path | BinaryIO) -> NDArray[np.uint16]:
    """RGB or RGBA of 16 bits, shape (height, width, 3 or 4), as stored; Pillow has no such mode."""
    import cv2

    samples: Any = cv2.imdecode(np.frombuffer(_encoded(source), np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("16 bits a sample in a way that is not supported")
    if samples.ndim == 2:
        return np.repeat(samples[..., None], 3, axis=2)
    return np.ascontiguousarray(samples[..., [2, 1, 0, 3][: samples.shape[2]]])  # from BGR(A)


def _encoded(source: Path | BinaryIO, count: int = -1) -> bytes:
    """The file's first bytes, or all."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return stream.read(count)
    source.seek(0)
    return source.read(count)


def _turn(samples: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """Upright pixels from those stored under an EXIF orientation (EXIF 2.32, tag 0x0112)."""
    if orientation in {5, 6, 7, 8}:
        samples = samples.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        samples = samples[::-1]
    if orientation in {2, 3, 6, 7}:
        samples = samples[:, ::-1]
    return samples
