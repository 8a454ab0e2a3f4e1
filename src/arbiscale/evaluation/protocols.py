"""The protocols of super-resolution as data: what is compared with what (docs/evaluation.md has details)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from arbiscale.imaging.coordinates import Size

FACE_LOW_PX = 16  # arXiv 2403.10255, table 1
CROP_PX = 192  # arXiv 2403.10255, DIV2K's training and validation crops


@dataclass(frozen=True)
class Sizes:
    """(height, width) of the picture that is drawn, and of the one it is drawn from."""

    truth: Size
    low: Size


@dataclass(frozen=True)
class Protocol:
    """How a table of super-resolution is made.

    Attributes:
        name: as in `evaluate.protocols`.
        scales: output / input; empty = those of `evaluate.scales`.
        kernel: of the low resolution and of the bicubic row: `pil` or `matlab`.
        channels: what PSNR and SSIM compare: `rgb`, or `y`, the luma of ITU-R BT.601.
        shave_px: border left out of every comparison with the truth, by scale.
        sizes: by an image's size and the scale.
        truth: `crop` = the image's top left part of that size; `resize` = the image, shrunk to it.
        one_size: whether all pictures of a scale have one size, so that latents can be exchanged.
        extended: whether there is a Lanczos row and the colour shift.
        degraded: whether the low resolution is blurred, noisy and compressed (`data.realistic`).
    """

    name: str
    scales: tuple[float, ...]
    kernel: Literal["pil", "matlab"]
    channels: Literal["rgb", "y"]
    shave_px: Callable[[float], int]
    sizes: Callable[[Size, float], Sizes]
    truth: Literal["crop", "resize"]
    one_size: bool
    extended: bool
    degraded: bool = False

    def place(self, dataset: str) -> str:
        """What one of its data sets is called; empty = it has one only."""
        return "/".join(filter(None, (self.name, dataset)))

    def groups(self, dataset: str, scales: Sequence[float]) -> dict[str, float]:
        """The names of a data set's groups in the table, and their scales."""
        prefix = "" if self is SAMPLE else f"{self.place(dataset)}/"
        return {f"{prefix}x{scale:g}": scale for scale in scales}


def rounded_low(size: Size, scale: float) -> Sizes:
    """The whole image from a low resolution rounded to whole pixels: of at least one."""
    return Sizes(size, (max(1, round(size[0] / scale)), max(1, round(size[1] / scale))))


def whole_low(size: Size, scale: float) -> Sizes:
    """The low resolution that fits into the image, and as much of the image as it covers.

    For whole scales this is the field's modulo crop; for others LIIF's rule (arXiv 2012.09161, its code).
    """
    low = (math.floor(size[0] / scale + 1e-9), math.floor(size[1] / scale + 1e-9))
    return Sizes((round(low[0] * scale), round(low[1] * scale)), low)


def fixed_low(size: Size, scale: float) -> Sizes:
    """Low resolution of 16 px whatever the image's size; the output follows from the scale."""
    side = round(FACE_LOW_PX * scale)
    return Sizes((side, side), (FACE_LOW_PX, FACE_LOW_PX))


def no_border(scale: float) -> int:
    """Nothing is left out of comparisons."""
    return 0


def div2k_border(scale: float) -> int:
    """LIIF's border on DIV2K, in pixels (arXiv 2012.09161, its code)."""
    return math.ceil(scale) + 6


SAMPLE = Protocol(
    name="sample",
    scales=(),
    kernel="pil",
    channels="rgb",
    shave_px=no_border,
    sizes=rounded_low,
    truth="crop",
    one_size=True,
    extended=False,
)
REALISTIC = replace(SAMPLE, name="realistic", degraded=True)
CROPS = Protocol(
    name="crops",
    scales=(4, 8, 12, 17),  # arXiv 2403.10255, DIV2K within and beyond the trained scale
    kernel="pil",
    channels="rgb",
    shave_px=no_border,
    sizes=rounded_low,
    truth="crop",
    one_size=True,
    extended=True,
)
DIV2K = Protocol(
    name="div2k",
    scales=(2, 3, 4, 6, 12, 18, 24, 30),  # arXiv 2012.09161, table 1
    kernel="matlab",
    channels="rgb",
    shave_px=div2k_border,
    sizes=whole_low,
    truth="crop",
    one_size=False,
    extended=True,
)
BENCHMARK = Protocol(
    name="benchmark",
    scales=(2, 3, 4),
    kernel="matlab",
    channels="y",
    shave_px=math.ceil,
    sizes=whole_low,
    truth="crop",
    one_size=False,
    extended=True,
)
FACES = Protocol(
    name="faces",
    scales=(5.3, 7, 8, 10, 10.7, 12),  # arXiv 2403.10255, table 1, and the trained scale
    kernel="pil",
    channels="rgb",
    shave_px=no_border,
    sizes=fixed_low,
    truth="resize",
    one_size=True,
    extended=True,
)
PROTOCOLS = {each.name: each for each in (SAMPLE, REALISTIC, CROPS, DIV2K, BENCHMARK, FACES)}
