"""Files decoded by libvips's own loader of their format, and no other."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyvips
from PIL.JpegImagePlugin import JpegImageFile

from arbiscale.imaging.formats import png_chunks
from arbiscale.imaging.formats.exif import first_directory

_BITS, _PHOTOMETRIC, _PLANES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 284, 338, 339  # tags of TIFF
_LAB = (8, 9, 10)  # photometric interpretations
_SAMPLES = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}  # of TIFF
_LARGEST_PX = 2**28


def load(name: str, data: bytes) -> tuple[Any, bytes | None, list[str]]:
    """A file of a named format: its libvips image, a profile that its own fields make up, and problems.

    Raises:
        ValueError: it is damaged, implausibly large or of a kind that is not read; in one line.
    """
    if name not in _LOADERS:
        raise ValueError(f"is {name}, which is not read; convert it to PNG, TIFF or JPEG first")
    problems: list[str] = []
    try:
        image, profile = _LOADERS[name](data, problems)
    except pyvips.Error as error:
        raise ValueError(f"cannot be decoded ({_reason(error)}); replace or remove it") from None
    return image, profile, problems


def load_header(name: str, source: Any) -> Any:
    """What a libvips source holds, of a named format, as an image that nothing is decoded of.

    Raises:
        ValueError: it is of a kind that is not read.
        pyvips.Error: it is damaged.
    """
    if name not in _LOADERS:
        raise ValueError(f"is {name}, which is not read")
    loader = f"{'heif' if name == 'AVIF' else name.lower()}load_source"
    return pyvips.Operation.call(loader, source, access="sequential")


def _load(loader: str, data: bytes, **options: Any) -> Any:
    """An image of one of libvips's own loaders, its size checked; decoded."""
    image = pyvips.Operation.call(loader, pyvips.Source.new_from_memory(data), access="sequential", **options)
    check_size(image.width * image.height)
    return image.copy_memory()


def check_size(pixels: int) -> None:
    """Refuse an image, before it is decoded, of more pixels than are read; raises ValueError."""
    if pixels > _LARGEST_PX:
        raise ValueError(f"claims more than {_LARGEST_PX:,} pixels; cut or shrink it first")


def _load_png(data: bytes, problems: list[str]) -> tuple[Any, bytes | None]:
    sound, found = png_chunks.sound(data)
    problems += found
    profile = png_chunks.colour_profile(sound)
    return _load("pngload_source", sound, unlimited=True, fail_on="error"), profile


def _load_jpeg(data: bytes, problems: list[str]) -> tuple[Any, bytes | None]:
    image = _load_any_jpeg(data, problems)
    if image.interpretation == "cmyk" and "adobe" not in jpeg_header(data):
        image = (255 - image).cast("uchar").copy(interpretation="cmyk")  # libvips takes it for Adobe's
    return image, None


def _load_any_jpeg(data: bytes, problems: list[str]) -> Any:
    if not data.rstrip(b"\0").endswith(b"\xff\xd9") and b"\xff\xd9" not in data[-4096:]:
        data += b"\xff\xd9"
        problems.append("its end marker is missing")
    try:
        return _load("jpegload_source", data, unlimited=True, fail_on="warning")
    except pyvips.Error as error:
        if "premature end" in str(error).lower():
            raise ValueError("is truncated or damaged; replace or remove it") from None
        problems.append(f"is damaged ({_reason(error)})")
        return _load("jpegload_source", data, unlimited=True, fail_on="truncated")


def _load_plain(loader: str, **options: Any) -> Callable[[bytes, list[str]], tuple[Any, bytes | None]]:
    def load(data: bytes, problems: list[str]) -> tuple[Any, bytes | None]:
        image = _load(loader, data, fail_on="error", **options)
        pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
        if pages > 1:
            problems.append(f"holds {pages} frames or pages: only the first is read")
        return image, None

    return load


def _load_tiff(data: bytes, problems: list[str]) -> tuple[Any, bytes | None]:
    try:
        tags = dict(first_directory(io.BytesIO(data)))
    except Exception:  # libvips says what is wrong
        tags = {}
    bits, extra = tags.get(_BITS, (8,)), tags.get(_EXTRA_SAMPLES, ())
    form = f"TIFF of {bits[0]}-bit {_SAMPLES.get(tags.get(_SAMPLE_FORMAT, (1,))[0], 'unknown')} samples"
    if tags.get(_PHOTOMETRIC) in _LAB:
        raise ValueError(f"is a {form} of Lab colours, which is not read; save it as RGB")
    multiplied = 1 in extra and bits[0] > 16
    if (tags.get(_PLANES) == 2 and len(bits) == 2) or multiplied:  # libvips 8.18 mixes them up
        how = "premultiplied by alpha" if multiplied else "and alpha in planes"
        raise ValueError(f"is a {form} {how}, which is not read; save it in 8 or 16 bits, channels together")
    try:
        return _load_plain("tiffload_source", unlimited=True)(data, problems)
    except pyvips.Error as error:
        raise ValueError(
            f"cannot be decoded: {form} ({_reason(error)}); save it in 8 or 16 bits, or replace it"
        ) from None


_LOADERS = {
    "PNG": _load_png,
    "JPEG": _load_jpeg,
    "WebP": _load_plain("webpload_source"),
    "TIFF": _load_tiff,
    "GIF": _load_plain("gifload_source"),
    "AVIF": _load_plain("heifload_source", unlimited=True),
}


def jpeg_header(data: bytes) -> dict[Any, Any]:
    """What Pillow finds before the scan and libvips does not tell."""
    try:
        with JpegImageFile(io.BytesIO(data)) as image:
            return image.info
    except Exception:  # Pillow is stricter about headers
        return {}


def _reason(error: pyvips.Error) -> str:
    """The last thing that libvips says, without who says it."""
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    return lines[0].partition(": ")[2] or lines[0] if lines else str(error.message)
