"""A drawing as a film: frames that grow into it."""

from __future__ import annotations

from collections.abc import Iterator

from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.picture import Pixels
from arbiscale.inference.drawing import Drawing


def zoom_frames(
    drawing: Drawing,
    size: Size,
    *,
    factor: float,
    frames: int,
    centre: tuple[float, float] = (0.5, 0.5),
    temperature: float | None = None,
    fidelity: float | None = None,
) -> Iterator[Pixels]:
    """Frames (height, width, 3) that grow from the whole picture to a part `factor` times as large.

    Every frame is drawn from the latent at its own scale; only the part that is seen is computed. Each
    step multiplies the scale by the same number. Sizes grow by whole pixels on both sides of the centre,
    so that nothing trembles.

    Args:
        drawing: what is zoomed into.
        size: (height, width) of a frame in pixels.
        factor: of the last frame, at least 1.
        frames: how many.
        centre: (y, x) of what is zoomed into, in [0, 1].
        temperature: of texture, where a flow draws it; None = the model's own.
        fidelity: see `Drawing.bands`.
    """
    drawing.hold()  # frames read the same features
    for index in range(frames):
        scale = factor ** (index / max(1, frames - 1))
        whole = (_grown(size[0], scale), _grown(size[1], scale))
        top, left = (
            round((large - small) * at) for large, small, at in zip(whole, size, centre, strict=True)
        )
        part = (top, left, *size)
        yield drawing.region(whole, part, bits=8, temperature=temperature, fidelity=fidelity)


def _grown(side_px: int, scale: float) -> int:
    """About `scale` times a side, by an even number of pixels more."""
    return side_px + 2 * round(side_px * (scale - 1) / 2)
