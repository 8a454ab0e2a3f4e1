"""Films: GIF by Pillow, H.264 by ffmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arbiscale.coordinates import Size
from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.inference.output import no_empty_folders

Frame = NDArray[np.uint8]


def check_encoder(path: Path) -> None:
    """Refuse a film that could not be written, before the work.

    Raises:
        UserError: no encoder is installed for its suffix.
    """
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(f"{path}: needs an encoder; pip install 'arbiscale[film]', or write a .gif")


def write_film(path: Path, frames: Iterator[Frame], size: Size, frames_per_second: int) -> None:
    """Write frames (height, width, 3) of one size as H.264 or GIF, whole or not at all.

    Args:
        path: `.mp4` or `.gif`.
        frames: in their order.
        size: (height, width) of each, even for `.mp4`.
        frames_per_second: of the film.

    Raises:
        UserError: as `check_encoder`, or a place that cannot be written.
    """
    check_encoder(path)
    with no_empty_folders(path), atomic_file(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(temporary, frames, frames_per_second)
        else:
            _write_mp4(temporary, frames, size, frames_per_second)


def _write_gif(path: Path, frames: Iterator[Frame], frames_per_second: int) -> None:
    images = (Image.fromarray(frame).quantize(dither=Image.Dither.FLOYDSTEINBERG) for frame in frames)
    milliseconds = max(20, round(1000 / frames_per_second))  # viewers slow down what is faster
    next(images).save(path, save_all=True, append_images=images, duration=milliseconds, loop=0)


def _write_mp4(path: Path, frames: Iterator[Frame], size: Size, frames_per_second: int) -> None:
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(path),
        (size[1], size[0]),
        fps=frames_per_second,
        codec="libx264",
        quality=8,
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()
