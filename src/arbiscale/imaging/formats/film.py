"""Films: GIF by Pillow, H.264 by ffmpeg."""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.files import new_file
from arbiscale.imaging.coordinates import Size

Frame = NDArray[np.uint8]

LARGEST_SIDE_PX = 8192  # of a frame, which is drawn as a whole; H.264 ends not far beyond
_SHORTEST_MS = 20  # of a GIF's frame: viewers slow down what is faster
_COLOURS = [  # as players take HD for: converted so, and said in the file
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv:sws_flags=accurate_rnd+full_chroma_int"),
    *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"),
]
_QUALITY = 18  # of x264, its constant rate factor: hardly to be told from the frames


def check_encoder(path: Path) -> None:
    """Refuse a film that could not be written, before the work.

    Raises:
        UserError: no encoder is installed for its suffix.
    """
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(f"{path}: needs an encoder; pip install 'arbiscale[film]', or write a .gif")


def check_frame(path: Path, size: Size) -> None:
    """Refuse frames of (height, width) pixels that are too large for a film; raises UserError."""
    if max(size) > LARGEST_SIDE_PX:
        raise UserError(
            f"{path}: a film holds at most {LARGEST_SIDE_PX:,} px a side, not {size[0]}x{size[1]}; "
            f"give a smaller --size"
        )


def frame_count(path: Path, seconds: float, frames_per_second: int) -> tuple[int, int]:
    """How many frames a film of so many seconds has, and how many a second: a GIF holds at most 50."""
    if path.suffix.lower() == ".gif":
        frames_per_second = min(frames_per_second, 1000 // _SHORTEST_MS)
    return max(2, round(seconds * frames_per_second)), frames_per_second


def write_film(path: Path, frames: Iterator[Frame], count: int, size: Size, frames_per_second: int) -> None:
    """Write 8-bit sRGB frames (height, width, 3) of one size as H.264 or GIF, whole or not at all.

    Args:
        path: `.mp4` or `.gif`.
        frames: in their order.
        count: of the frames.
        size: (height, width) of each, even for `.mp4`.
        frames_per_second: of the film.

    Raises:
        UserError: as `check_encoder` and `check_frame`, or a place that cannot be written.
    """
    check_encoder(path)
    check_frame(path, size)
    with new_file(path) as stream:
        if path.suffix.lower() == ".gif":
            _write_gif(stream, frames, count, frames_per_second)
        else:
            _write_mp4(stream, frames, size, frames_per_second)


def _write_gif(stream: BinaryIO, frames: Iterator[Frame], count: int, frames_per_second: int) -> None:
    images = (Image.fromarray(frame).quantize(dither=Image.Dither.FLOYDSTEINBERG) for frame in frames)
    ends = [10 * round(100 * index / frames_per_second) for index in range(count + 1)]  # in whole 10 ms
    durations = [stop - start for start, stop in itertools.pairwise(ends)]
    next(images).save(stream, "GIF", save_all=True, append_images=images, duration=durations, loop=0)


def _write_mp4(stream: BinaryIO, frames: Iterator[Frame], size: Size, frames_per_second: int) -> None:
    """Feed frames to ffmpeg; raises OSError with its own words where it fails.

    It writes into the open file, not to a name: even if it outlives this process, it leaves nothing.
    """
    import imageio_ffmpeg

    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[1]}x{size[0]}", "-r", str(frames_per_second)]
    coded = ["-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(_QUALITY), *_COLOURS]
    output = ["-fd", str(stream.fileno()), "-f", "mp4", "fd:"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-i", "-", *coded, *output]
    with tempfile.TemporaryFile() as messages:
        # In a session of its own, so that Ctrl-C reaches only this process, which then ends that one.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=messages,
            pass_fds=[stream.fileno()],
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
            failed = process.wait() != 0
        except BrokenPipeError:
            failed = True
        finally:
            process.kill()
            process.wait()
        if failed:
            messages.seek(0)
            first = messages.readline().decode(errors="replace").strip()
            raise OSError(re.sub(r"^(\[[^]]*\] *)+", "", first) or "ffmpeg failed")
