"""What upscaling a picture would take, by the time that its middle takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from arbiscale.cli.drawing import Options
from arbiscale.cli.jobs import Output

if TYPE_CHECKING:
    from arbiscale.imaging.coordinates import Size
    from arbiscale.imaging.picture import Picture
    from arbiscale.inference.model import Model

_PROBE_PX = 64  # side of what is drawn to measure time


def estimate(
    model: Model,
    picture: Picture,
    outputs: Sequence[Output],
    sizes: Sequence[Size],
    options: Options,
) -> None:
    """Print a line for each output: size, tiles, memory and time on this machine.

    Args:
        model: as loaded.
        picture: that is upscaled.
        outputs: of it.
        sizes: theirs.
        options: how they are drawn.
    """
    import psutil

    from arbiscale.imaging.picture import Picture
    from arbiscale.inference.drawing import drawn_px

    height, width = picture.size
    side = min(_PROBE_PX, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    probe = Picture(picture.colour[top : top + side, left : left + side])
    share = side * side / (height * width)
    tiles = model.tiles(picture.size, options.tile)
    members = options.members
    each = f" in each of {members} orientations" * (members > 1)
    for output, wanted in zip(outputs, sizes, strict=True):
        small = (max(1, wanted[0] * side // height), max(1, wanted[1] * side // width))
        began = time.monotonic()
        latent = model.share_of_branch(output.fidelity) < 1
        drawing = model.sample(
            probe,
            latent=latent,
            self_ensemble=options.self_ensemble,
            consistent=options.consistent,
            **options.sampling,
        )
        sampled = time.monotonic()
        drawing.draw(small, temperature=output.temperature, fidelity=output.fidelity)
        drawn = time.monotonic() - sampled
        times = drawn_px(picture.size, wanted, consistent=options.consistent) / math.prod(wanted)
        seconds = (sampled - began + times * drawn) / share
        held = height * width * (model.bytes_per_pixel + (members - 1) * latent * model.bytes_per_latent)
        memory = psutil.Process().memory_info().rss + held
        print(
            f"{output.path}: {wanted[0]}x{wanted[1]} px, {tiles} tile{'s' * (tiles > 1)}{each}, "
            f"about {memory / 2**30:.1f} GiB and {seconds:.0f} s",
            flush=True,
        )
