"""A drawing, into a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from arbiscale.files import standard_output
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import Encoding, Format, find_format
from arbiscale.imaging.picture import Metadata
from arbiscale.imaging.provenance import Record, stamped
from arbiscale.imaging.writing import Layout, encode_bands, write_bands, write_picture
from arbiscale.inference.decoding import Advance, unheard
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.memory import release_memory

STANDARD_OUTPUT = Path("-")
_LARGE_PIXELS = 1 << 24  # from which on memory counts more than the time to get it again
_USUAL = Encoding()


def write_drawing(
    drawing: Drawing,
    size: Size,
    path: Path,
    *,
    suffix: str | None = None,
    temperature: float | None = None,
    fidelity: float | None = None,
    encoding: Encoding = _USUAL,
    provenance: Record | None = None,
    advance: Advance = unheard,
) -> None:
    """Draw a latent at (height, width) pixels into a file; peak memory does not depend on the height.

    16 bits and alpha are kept where the format holds them; otherwise 16 bits are rounded to 8, and
    transparency is laid on white.

    Args:
        drawing: what to draw.
        size: (height, width) in pixels.
        path: the file, whole or not at all; `-` = standard output.
        suffix: decides the format; None = the path's own.
        temperature: of texture, where a flow draws it; None = the model's own.
        fidelity: see `Drawing.bands`.
        encoding: what may be chosen of the file.
        provenance: what drew it, which formats with metadata hold; None = nothing of the kind.
        advance: see `Drawing.bands`.

    Raises:
        UserError: a format that is unknown or cannot hold the size, a place that cannot be written, or as
            `Drawing.bands`.
    """
    form = find_format(Path(f"{path}{suffix or ''}"), size)
    layout = _layout(drawing, size, form, provenance)
    if size[0] * size[1] >= _LARGE_PIXELS:
        release_memory()
    bands = drawing.bands(
        size,
        bits=layout.bits,
        alpha=form.alpha,
        temperature=temperature,
        fidelity=fidelity,
        advance=advance,
    )
    if path == STANDARD_OUTPUT:
        with standard_output() as stream:
            write_bands(stream, form, layout, bands, encoding)
    else:
        write_picture(path, form, layout, bands, encoding)


def encode_drawing(
    drawing: Drawing,
    size: Size,
    *,
    region: Region | None = None,
    suffix: str = ".png",
    temperature: float | None = None,
    fidelity: float | None = None,
    provenance: Record | None = None,
    advance: Advance = unheard,
) -> bytes:
    """The same as bytes, for pictures that memory holds.

    Args:
        drawing: what to draw.
        size: (height, width) of the whole in pixels.
        region: (top, left, height, width) of the part that is drawn, in 8 bits and on white; None = all.
        suffix: decides the format, which is no folder of tiles.
        temperature: see `write_drawing`.
        fidelity: see `write_drawing`.
        provenance: see `write_drawing`.
        advance: see `Drawing.bands`.

    Raises:
        UserError: as `write_drawing`.
    """
    form = find_format(Path(f"the picture{suffix}"), region[2:] if region else size)
    layout = _layout(drawing, size, form, provenance)
    if region is not None:
        profile = Metadata(icc_profile=layout.metadata.icc_profile)
        layout = Layout(region[2:], drawing.colours, 8, profile)
    bands = drawing.bands(
        size,
        region=region,
        bits=layout.bits,
        alpha=form.alpha and region is None,
        temperature=temperature,
        fidelity=fidelity,
        advance=advance,
    )
    return encode_bands(form, layout, bands)


def _layout(drawing: Drawing, size: Size, form: Format, provenance: Record | None) -> Layout:
    metadata = Metadata() if drawing.picture is None else drawing.picture.metadata
    if len(metadata.xmp) > form.xmp_bytes:  # what drew the picture would be left out with it
        metadata = replace(metadata, xmp=b"")
    channels = drawing.channels if form.alpha else drawing.colours
    return Layout(size, channels, drawing.bits if form.deep else 8, stamped(metadata, provenance))
