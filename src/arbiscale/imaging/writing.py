"""Picture files out: bands of rows in, any format of the table out, by libvips in bounded memory."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, new_file
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.formats import Encoding, Format, find_format
from arbiscale.imaging.formats.deep_zoom import embed_xmp
from arbiscale.imaging.formats.exif import add_to_tiff
from arbiscale.imaging.formats.png_chunks import HEADER_BYTES, chunk, text_chunk
from arbiscale.imaging.formats.profiles import to_srgb
from arbiscale.imaging.picture import Metadata, Pixels

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by channels
_SEGMENT_BYTES = 65_533  # that a JPEG comment holds
_START_BYTES = 2  # of a JPEG's start marker
_MOVED_BYTES = 1 << 20  # at once
_CLASSIC_BYTES = 4_000_000_000  # of samples that surely fit a TIFF's 32-bit offsets, compressed or not
_USUAL = Encoding()
_SYSTEM = "system error: "  # how libvips begins what the system says
_UNFINISHED = "it.dzi"  # among the tiles, until it has its own name
_RESOURCES = b"Photoshop 3.0\0"


@dataclass(frozen=True)
class Layout:
    """Of a picture to write.

    Attributes:
        size: (height, width) in pixels.
        channels: 1 or 3, and one more with alpha.
        bits: of a sample, 8 or 16.
        metadata: to write along.
    """

    size: Size
    channels: int = 3
    bits: int = 8
    metadata: Metadata = field(default_factory=Metadata)


def write_picture(
    path: Path, form: Format, layout: Layout, bands: Iterable[Pixels], encoding: Encoding = _USUAL
) -> None:
    """Write a picture to a file as its bands arrive, whole or not at all.

    A Deep Zoom picture is a folder of tiles beside the file, which is written last.

    Args:
        path: the file; its suffix does not matter.
        form: how to write.
        layout: of the picture.
        bands: uint8 or uint16, shape (rows, width, channels), from top to bottom.
        encoding: what may be chosen.

    Raises:
        UserError: the place cannot be written.
    """
    if form.name != "Deep Zoom":
        with new_file(path) as stream:
            write_bands(stream, form, layout, bands, encoding)
        return
    tiles = tiles_of(path)
    if tiles.exists() and not path.exists() and not (tiles / _UNFINISHED).exists():
        raise UserError(f"{tiles}: is there already; name another output, or remove it")
    with atomic_folder(tiles) as folder:
        tile = f".jpg[Q={encoding.quality}]"
        _encode(lambda image: image.dzsave(str(folder / "it"), suffix=tile), form, layout, bands, encoding)
        for level in (folder / "it_files").glob("[0-9]*"):
            level.replace(folder / level.name)
        shutil.rmtree(folder / "it_files")
        embed_xmp(folder / _UNFINISHED, layout.metadata.xmp)
        if path.exists():  # it speaks of other tiles from here on
            path.replace(tiles / _UNFINISHED)
    (tiles / _UNFINISHED).replace(path)


def tiles_of(path: Path) -> Path:
    """The folder of a Deep Zoom picture's tiles."""
    return path.with_name(f"{path.stem}_files")


def write_bands(
    stream: BinaryIO, form: Format, layout: Layout, bands: Iterable[Pixels], encoding: Encoding = _USUAL
) -> None:
    """Write a picture to an open file as its bands arrive.

    Args:
        stream: a file of the system's, open for reading and writing.
        form: how to write.
        layout: of the picture.
        bands: as in `write_picture`.
        encoding: what may be chosen.

    Raises:
        OSError: the file cannot be written.
    """
    save = partial(_save_to, stream=stream, form=form, layout=layout, encoding=encoding)
    _encode(save, form, layout, bands, encoding)


def encode_bands(form: Format, layout: Layout, bands: Iterable[Pixels], encoding: Encoding = _USUAL) -> bytes:
    """The same as bytes, for pictures that memory holds."""
    with tempfile.TemporaryFile() as stream:
        write_bands(stream, form, layout, bands, encoding)
        stream.seek(0)
        return stream.read()


def _encode(
    save: Callable[[Any], None], form: Format, layout: Layout, bands: Iterable[Pixels], encoding: Encoding
) -> None:
    """Have libvips save bands, in a thread beside the one that draws them."""
    ready, feed = os.pipe()
    # Whatever stops the drawing, even a signal right here, the pipe is closed before the encoder is awaited.
    # A broken pipe: the encoder has failed, and says why.
    with ThreadPoolExecutor(1) as pool, suppress(BrokenPipeError), os.fdopen(feed, "wb") as pipe:
        saved = pool.submit(_save, ready, save, form, layout.metadata, encoding)
        for part in _as_png(layout, bands):
            pipe.write(part)
    problem = saved.result()
    if problem is not None:
        raise OSError(problem)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write 8-bit RGB pixels (height, width, 3) in the format of the path's suffix, whole or not at all.

    Raises:
        UserError: unknown suffix, or a size or place that cannot be written.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"expected uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}")
    size = (pixels.shape[0], pixels.shape[1])
    write_picture(path, find_format(path, size), Layout(size), [pixels])


def _as_png(layout: Layout, bands: Iterable[Pixels]) -> Iterator[bytes]:
    """The bands as a PNG stream without compression: libvips reads no simpler format from a pipe."""
    height, width = layout.size
    header = struct.pack(">IIBBBBB", width, height, layout.bits, _COLOUR_TYPES[layout.channels], 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    stored = zlib.compressobj(0)
    for band in bands:
        ordered = band.astype(">u2") if layout.bits == 16 else band  # big-endian
        rows = np.ascontiguousarray(ordered).view(np.uint8).reshape(len(band), -1)
        unfiltered = np.pad(rows, [(0, 0), (1, 0)])  # each row begins with the number of its filter: none
        yield chunk(b"IDAT", stored.compress(unfiltered.data))
    yield chunk(b"IDAT", stored.flush()) + chunk(b"IEND", b"")


def _save(
    ready: int, save: Callable[[Any], None], form: Format, metadata: Metadata, encoding: Encoding
) -> str | None:
    """Encode what comes through a pipe; what went wrong, once nothing holds the pipe any more."""
    try:
        source = pyvips.Source.new_from_descriptor(ready)
        image = pyvips.Operation.call(
            "pngload_source", source, access="sequential", unlimited=True, fail_on="truncated"
        )
        if encoding.dpi is not None:
            metadata = replace(metadata, resolution=(encoding.dpi / 25.4, encoding.dpi / 25.4))
        save(_tagged(image, form, metadata))
        return None
    except pyvips.Error as error:
        lines = str(error.detail).splitlines() or [str(error.message)]
        return next((line for line in lines if line.startswith(_SYSTEM)), lines[0]).removeprefix(_SYSTEM)
    finally:
        os.close(ready)


def _tagged(image: Any, form: Format, metadata: Metadata) -> Any:
    """The image with its metadata, as libvips names them."""
    horizontal, vertical = metadata.resolution or (72 / 25.4, 72 / 25.4)
    image = image.copy(xres=horizontal, yres=vertical)
    resources = metadata.iptc.removeprefix(_RESOURCES) if form.name == "TIFF" else metadata.iptc
    if metadata.icc_profile and "icc_profile" not in form.metadata:
        image = to_srgb(image, metadata.icc_profile, depth=8)
        metadata = replace(metadata, icc_profile=None)
    blobs = {
        "exif-data": b"Exif\0\0" + metadata.exif if metadata.exif else b"",
        "icc-profile-data": metadata.icc_profile,
        "xmp-data": metadata.xmp,
        "photoshop-data" if form.name == "TIFF" else "iptc-data": resources,
    }
    for name, content in blobs.items():
        if content:
            image.set_type(pyvips.GValue.blob_type, name, content)
    for index, (key, text) in enumerate(metadata.text.items()):
        if _is_plain(key, text):
            image.set_type(pyvips.GValue.gstr_type, f"png-comment-{index}-{key}", text)
    return image


def _is_plain(key: str, text: str) -> bool:
    """Whether libvips writes a text as it is: it cuts keys at white space, and calls UTF-8 Latin-1."""
    return key.split() == [key] and f"{key}{text}".isascii()


def _save_to(image: Any, *, stream: BinaryIO, form: Format, layout: Layout, encoding: Encoding) -> None:
    """Write an image to an open file, and into it what libvips does not write."""
    saver, options = _saver(form, layout, encoding)
    metadata = layout.metadata
    pyvips.Operation.call(saver, image, pyvips.Target.new_to_descriptor(stream.fileno()), **options)
    if form.name == "TIFF" and metadata.exif:
        add_to_tiff(stream, metadata.exif)
    if form.name == "JPEG" and metadata.comment:
        comment = metadata.comment[:_SEGMENT_BYTES]
        _insert(stream, _START_BYTES, b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment)
    others = [text_chunk(*each) for each in metadata.text.items() if not _is_plain(*each)]
    if form.name == "PNG" and others:
        _insert(stream, HEADER_BYTES, b"".join(others))


def _insert(stream: BinaryIO, place: int, content: bytes) -> None:
    """Put content into a file; what stands behind the place is moved, from the end on."""
    end = stream.seek(0, os.SEEK_END)
    for start in reversed(range(place, end, _MOVED_BYTES)):
        stream.seek(start)
        moved = stream.read(min(_MOVED_BYTES, end - start))
        stream.seek(start + len(content))
        stream.write(moved)
    stream.seek(place)
    stream.write(content)


def _saver(form: Format, layout: Layout, encoding: Encoding) -> tuple[str, dict[str, Any]]:
    """Libvips's operation for a format, and its options."""
    lossy = {"Q": encoding.quality}
    either = lossy | {"lossless": encoding.lossless}
    big = layout.size[0] * layout.size[1] * layout.channels * layout.bits // 8 > _CLASSIC_BYTES
    tiles = {"tile": True, "tile_width": 256, "tile_height": 256, "bigtiff": big}
    operations: dict[str, tuple[str, dict[str, Any]]] = {
        "PNG": ("pngsave_target", {"compression": 6, "filter": "all"}),
        "JPEG": ("jpegsave_target", lossy | {"subsample_mode": "off"}),
        "WebP": ("webpsave_target", either | {"exact": encoding.lossless}),
        "TIFF": ("tiffsave_target", tiles | {"compression": "deflate", "predictor": "horizontal"}),
        "AVIF": ("heifsave_target", either | {"compression": "av1", "subsample_mode": "off", "bitdepth": 8}),
        "GIF": ("gifsave_target", {}),
    }
    return operations[form.name]
