"""What drew a picture, in the picture's own file: as XMP, and as a text of a PNG."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from xml.etree import ElementTree

from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.picture import Metadata

Record = Mapping[str, str]  # what drew a picture: values by name

_SPACE = "urn:arbiscale:provenance:"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "adobe:ns:meta/"
_TEXT = "arbiscale"  # the key of the PNG's text
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PREFIXES = {"arbiscale": _SPACE, "rdf": _RDF, "x": _XMP}


@dataclass(frozen=True)
class Input:
    """A picture that was upscaled.

    Attributes:
        name: of its file, without folders.
        sha256: of the file.
        size: (height, width) in pixels.
    """

    name: str
    sha256: str
    size: Size


def stamped(metadata: Metadata, record: Record | None) -> Metadata:
    """Metadata with a record of what drew the picture, in place of the one of its input.

    XMP that is no XML is not carried on.

    Args:
        metadata: of the input.
        record: its names are those of XML attributes; None = no record.
    """
    text = {key: value for key, value in metadata.text.items() if key != _TEXT}
    if record is not None:
        text[_TEXT] = json.dumps(dict(record))
    if record is None and _SPACE.encode() not in metadata.xmp:
        return replace(metadata, text=text)
    return replace(metadata, text=text, xmp=_with_record(metadata.xmp, record or {}))


def read_record(metadata: Metadata) -> dict[str, str]:
    """The record that a picture's metadata holds; empty where there is none."""
    root = _parsed(metadata.xmp)
    found = {
        name.removeprefix(f"{{{_SPACE}}}"): value
        for node in ([] if root is None else root.iter())
        for name, value in [*node.attrib.items(), (node.tag, node.text or "")]
        if name.startswith(f"{{{_SPACE}}}")
    }
    if found:
        return found
    try:
        values = json.loads(metadata.text.get(_TEXT, "{}"))
        return {str(name): str(value) for name, value in values.items()}
    except (ValueError, AttributeError):
        return {}


def _with_record(xmp: bytes, record: Record) -> bytes:
    """An XMP packet with a record, and without the one that it had."""
    for prefix, space in _PREFIXES.items():
        ElementTree.register_namespace(prefix, space)
    root = _parsed(xmp)
    descriptions = None if root is None else next(root.iter(f"{{{_RDF}}}RDF"), None)
    if root is None or descriptions is None:
        root = ElementTree.Element(f"{{{_XMP}}}xmpmeta")
        descriptions = ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    for node in [*descriptions]:
        for name in [name for name in node.attrib if name.startswith(f"{{{_SPACE}}}")]:
            del node.attrib[name]
        for child in [child for child in node if str(child.tag).startswith(f"{{{_SPACE}}}")]:
            node.remove(child)
        if not len(node) and node.attrib.keys() <= {f"{{{_RDF}}}about"}:
            descriptions.remove(node)
    if record:
        attributes = {f"{{{_SPACE}}}{name}": _as_xml(value) for name, value in record.items()}
        ElementTree.SubElement(descriptions, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": "", **attributes})
    return f"{_BEGIN}{ElementTree.tostring(root, encoding='unicode')}{_END}".encode()


def _as_xml(text: str) -> str:
    """A text whose characters XML 1.0 allows; others are escaped as Python does."""
    return _NO_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _parsed(xmp: bytes) -> ElementTree.Element | None:
    """The root of a packet, whose prefixes are kept when it is written; None of what is no XML."""
    if not xmp or b"<!DOCTYPE" in xmp:  # which no XMP has
        return None
    try:
        for _, (prefix, space) in ElementTree.iterparse(BytesIO(xmp.rstrip(b"\0")), events=["start-ns"]):
            if prefix and not prefix.startswith("ns") and prefix not in _PREFIXES:
                ElementTree.register_namespace(prefix, space)
        return ElementTree.fromstring(xmp.rstrip(b"\0"))
    except ElementTree.ParseError:
        return None
