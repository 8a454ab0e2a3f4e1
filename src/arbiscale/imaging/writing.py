"""Picture files out: bands of rows in, any format of the table out, by libvips in bounded memory."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
from arbiscale.imaging.formats.exif import add_to_tiff
from arbiscale.imaging.formats.profiles import to_srgb
from arbiscale.imaging.picture import Metadata, Pixels

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by channels
_SEGMENT_BYTES = 65_533  # that a JPEG comment holds
_CLASSIC_BYTES = 4_000_000_000  # of samples that surely fit a TIFF's 32-bit offsets, compressed or not
_USUAL = Encoding()
_SYSTEM = "system error: "  # how libvips begins what the system says
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
    tiles = path.with_name(f"{path.stem}_files")
    if tiles.exists() and not path.exists():
        raise UserError(f"{tiles}: is there already; name another output, or remove it")
    with atomic_folder(tiles) as folder:
        save = partial(_save_deep_zoom, target=folder / "it", encoding=encoding)
        _encode(save, form, layout, bands, encoding)
        for level in (folder / "it_files").glob("[0-9]*"):
            level.replace(folder / level.name)
        shutil.rmtree(folder / "it_files")
    (tiles / "it.dzi").replace(path)


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
    save = partial(_SAVERS[form.name], stream=stream, layout=layout, encoding=encoding)
    _encode(save, form, layout, bands, encoding)


def _encode(
    save: Callable[[Any], None], form: Format, layout: Layout, bands: Iterable[Pixels], encoding: Encoding
) -> None:
    """Have libvips save bands, in a thread beside the one that draws them."""
    ready, feed = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        saved: Future[str | None] = pool.submit(_save, ready, save, form, layout.metadata, encoding)
        try:
            with os.fdopen(feed, "wb") as pipe:
                for part in _as_png(layout, bands):
                    pipe.write(part)
        except BrokenPipeError:  # the encoder has failed, and says why
            pass
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
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    stored = zlib.compressobj(0)
    for band in bands:
        ordered = band.astype(">u2") if layout.bits == 16 else band  # big-endian
        rows = np.ascontiguousarray(ordered).view(np.uint8).reshape(len(band), -1)
        unfiltered = np.pad(rows, [(0, 0), (1, 0)])  # each row begins with the number of its filter: none
        yield _chunk(b"IDAT", stored.compress(unfiltered.data))
    yield _chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _save(
    ready: int, save: Callable[[Any], None], form: Format, metadata: Metadata, encoding: Encoding
) -> str | None:
    """Encode what comes through a pipe; what went wrong, once nothing holds the pipe any more."""
    try:
        source = pyvips.Source.new_from_descriptor(ready)
        image = pyvips.Operation.call("pngload_source", source, access="sequential", unlimited=True)
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
        image.set_type(pyvips.GValue.gstr_type, f"png-comment-{index}-{key}", text)
    return image


def _to(saver: str, image: Any, stream: BinaryIO, **options: Any) -> None:
    pyvips.Operation.call(saver, image, pyvips.Target.new_to_descriptor(stream.fileno()), **options)


def _save_png(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    _to("pngsave_target", image, stream, compression=6, filter="all")


def _save_jpeg(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    comment = layout.metadata.comment[:_SEGMENT_BYTES]
    if not comment:
        _to("jpegsave_target", image, stream, Q=encoding.quality, subsample_mode="off")
        return
    with tempfile.TemporaryFile() as bare:  # libvips writes no comment: it comes behind the start marker
        _to("jpegsave_target", image, bare, Q=encoding.quality, subsample_mode="off")
        bare.seek(2)
        stream.write(b"\xff\xd8\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment)
        shutil.copyfileobj(bare, stream)


def _save_webp(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    _to(
        "webpsave_target",
        image,
        stream,
        Q=encoding.quality,
        lossless=encoding.lossless,
        exact=encoding.lossless,
    )


def _save_avif(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    choices = {"Q": encoding.quality, "lossless": encoding.lossless, "subsample_mode": "off", "bitdepth": 8}
    _to("heifsave_target", image, stream, compression="av1", **choices)


def _save_gif(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    _to("gifsave_target", image, stream)


def _save_deep_zoom(image: Any, target: Path, encoding: Encoding) -> None:
    image.dzsave(str(target), suffix=f".jpg[Q={encoding.quality}]")


def _save_tiff(image: Any, stream: BinaryIO, layout: Layout, encoding: Encoding) -> None:
    samples = layout.size[0] * layout.size[1] * layout.channels
    big = samples * layout.bits // 8 > _CLASSIC_BYTES
    _to(
        "tiffsave_target",
        image,
        stream,
        compression="deflate",
        predictor="horizontal",
        tile=True,
        tile_width=256,
        tile_height=256,
        bigtiff=big,
    )
    if layout.metadata.exif:
        add_to_tiff(stream, layout.metadata.exif)


_SAVERS = {
    "PNG": _save_png,
    "JPEG": _save_jpeg,
    "WebP": _save_webp,
    "TIFF": _save_tiff,
    "AVIF": _save_avif,
    "GIF": _save_gif,
}
