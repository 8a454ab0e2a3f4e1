"""What goes along with the pixels of a file, as libvips and the file itself tell it."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

from arbiscale.imaging.formats import png_chunks
from arbiscale.imaging.formats.exif import kept_exif
from arbiscale.imaging.formats.loaders import jpeg_header
from arbiscale.imaging.picture import Metadata

_DEFAULT_RESOLUTIONS = (1.0, 72 / 25.4)  # that libvips gives where a file says none
_RATING = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def kept_metadata(image: Any, name: str, data: bytes) -> Metadata:
    """What still holds of an upright picture; without its profile and resolution.

    Args:
        image: decoded.
        name: of the file's format.
        data: the whole file, for what libvips does not tell.
    """
    exif = kept_exif(data, tiff=True) if name == "TIFF" else kept_exif(blob(image, "exif-data"))
    return Metadata(
        exif=exif,
        xmp=blob(image, "xmp-data") or (_rating(exif) if exif else b""),
        iptc=_iptc(image),
        text=png_chunks.texts(data) if name == "PNG" else {},
        comment=bytes(jpeg_header(data).get("comment", b"")) if name == "JPEG" else b"",
    )


def said_resolution(image: Any) -> tuple[float, float] | None:
    """Pixels a millimetre, (horizontal, vertical), of an image once it is upright; None = not said."""
    resolution = (float(image.xres), float(image.yres))
    if image.get_typeof("orientation") and image.get("orientation") > 4:  # a quarter turn
        resolution = resolution[::-1]
    known = not any(abs(resolution[0] - default) < 0.01 for default in _DEFAULT_RESOLUTIONS)
    return resolution if known else None


def blob(image: Any, field: str) -> bytes:
    """A field's bytes; empty where the file has none."""
    return bytes(image.get(field)) if image.get_typeof(field) else b""


def _iptc(image: Any) -> bytes:
    """IPTC as a JPEG file holds it: in a block of Photoshop's resources."""
    if resources := blob(image, "photoshop-data"):
        return b"Photoshop 3.0\0" + resources
    records = blob(image, "iptc-data")
    if not records or records.startswith(b"Photoshop"):
        return records
    length = len(records).to_bytes(4, "big")
    return b"Photoshop 3.0\08BIM\4\4\0\0" + length + records + b"\0" * (len(records) % 2)


def _rating(exif: bytes) -> bytes:
    """EXIF's rating as XMP, for formats whose EXIF is written without it."""
    found = Image.Exif()
    found.load(b"Exif\0\0" + exif)
    rating = found.get(ExifTags.Base.Rating)
    return _RATING.format(rating).encode() if isinstance(rating, int) else b""
