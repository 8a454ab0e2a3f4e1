"""A drawing written to a file as it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from arbiscale.files import new_file, standard_output
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.formats import find_format
from arbiscale.imaging.formats.layout import Layout
from arbiscale.imaging.picture import Metadata, Pixels
from arbiscale.inference.drawing import Drawing

STANDARD_OUTPUT = Path("-")


def write_drawing(
    drawing: Drawing,
    size: Size,
    path: Path,
    *,
    suffix: str | None = None,
    advance: Callable[[int], None] = lambda pixels: None,
) -> None:
    """Draw a latent at (height, width) pixels into a file; peak memory does not depend on the height.

    16 bits and alpha are kept where the format holds them; otherwise 16 bits are rounded to 8, and
    transparency is laid on white.

    Args:
        drawing: what to draw.
        size: (height, width) in pixels.
        path: the file, whole or not at all; `-` = standard output.
        suffix: decides the format; None = the path's own.
        advance: told the pixels of each band.

    Raises:
        UserError: a format that is unknown or cannot hold the size, or a place that cannot be written.
    """
    form = find_format(Path(f"{path}{suffix or ''}"), size)
    bits = drawing.bits if form.deep else 8
    channels = drawing.channels if form.alpha else 3
    metadata = Metadata() if drawing.picture is None else drawing.picture.metadata
    with standard_output() if path == STANDARD_OUTPUT else new_file(path) as stream:
        bands = _counted(drawing.bands(size, bits=bits, alpha=form.alpha), advance)
        form.write(stream, Layout(size, channels, bits, metadata), bands)


def _counted(bands: Iterator[Pixels], advance: Callable[[int], None]) -> Iterator[Pixels]:
    for band in bands:
        yield band
        advance(band.shape[0] * band.shape[1])
