"""XMP in the file of a Deep Zoom picture, which is XML: an element that viewers pass over."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

_END = b"</Image>"
_XMP = "{adobe:ns:meta/}xmpmeta"
_LONGEST_BYTES = 1 << 20


def embed_xmp(path: Path, xmp: bytes) -> None:
    """Put a packet into a file; none, and what is no XML, is left out.

    Args:
        path: as libvips writes it.
        xmp: of the picture.
    """
    begin, end = xmp.find(b"<x:xmpmeta"), xmp.rfind(b"</x:xmpmeta>")
    if min(begin, end) < 0:
        return
    written = path.read_bytes()
    changed = written.replace(_END, xmp[begin:end] + b"</x:xmpmeta>\n" + _END)
    if _parsed(changed) is not None:
        path.write_bytes(changed)


def embedded_xmp(path: Path) -> bytes:
    """What `embed_xmp` put into a file; empty where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        root = _parsed(stream.read(_LONGEST_BYTES))
    found = None if root is None else root.find(_XMP)
    return b"" if found is None else ElementTree.tostring(found)


def _parsed(content: bytes) -> ElementTree.Element | None:
    if b"<!DOCTYPE" in content:  # which neither has
        return None
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError:
        return None
