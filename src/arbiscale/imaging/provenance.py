"""What drew a picture, in the picture's own file: as XMP, and as a text of a PNG."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from xml.etree import ElementTree
from xml.parsers import expat

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
_OWN = f"{{{_SPACE}}}"  # how ElementTree begins such names


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
        name.removeprefix(_OWN): value
        for node in ([] if root is None else root.iter())
        for name, value in [*node.attrib.items(), (node.tag, node.text or "")]
        if name.startswith(_OWN)
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
    root, descriptions = _without_record(xmp) or _empty()
    if record:
        spaces = {"xmlns:rdf": _RDF, "xmlns:arbiscale": _SPACE, "rdf:about": ""}
        values = {f"arbiscale:{name}": _as_xml(value) for name, value in record.items()}
        ElementTree.SubElement(descriptions, "rdf:Description", spaces | values)
    try:
        return f"{_BEGIN}{ElementTree.tostring(root, encoding='unicode')}{_END}".encode()
    except RecursionError:  # nested as no XMP is
        return _with_record(b"", record)


def _empty() -> tuple[ElementTree.Element, ElementTree.Element]:
    """The root of a packet, and what descriptions stand in."""
    root = ElementTree.Element("x:xmpmeta", {"xmlns:x": _XMP})
    return root, ElementTree.SubElement(root, "rdf:RDF", {"xmlns:rdf": _RDF})


def _without_record(xmp: bytes) -> tuple[ElementTree.Element, ElementTree.Element] | None:
    """The same of a packet that there is, as it is written; None of what is none."""
    known = _parsed(xmp)
    if known is None:
        return None
    root = _as_written(xmp)
    pairs = zip(root.iter(), known.iter(), strict=True)
    found = next((pair for pair in pairs if pair[1].tag == f"{{{_RDF}}}RDF"), None)
    if found is None:
        return None
    for node, same in zip([*found[0]], [*found[1]], strict=True):
        names = [name for name in node.attrib if name != "xmlns" and not name.startswith("xmlns:")]
        for name, known_name in zip(names, [*same.attrib], strict=True):
            if known_name.startswith(_OWN):
                del node.attrib[name], same.attrib[known_name]
        for child, known_child in zip([*node], [*same], strict=True):
            if known_child.tag.startswith(_OWN):
                node.remove(child)
        if not len(node) and same.attrib.keys() <= {f"{{{_RDF}}}about"}:
            found[0].remove(node)
    return root, found[0]


def _as_xml(text: str) -> str:
    """A text whose characters XML 1.0 allows; others are escaped as Python does."""
    return _NO_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _parsed(xmp: bytes) -> ElementTree.Element | None:
    """The root of a packet, names by their namespaces; None of what is no XML."""
    if not xmp or b"<!DOCTYPE" in xmp:  # which no XMP has
        return None
    try:
        return ElementTree.fromstring(xmp.rstrip(b"\0"))
    except ElementTree.ParseError:
        return None


def _as_written(xmp: bytes) -> ElementTree.Element:
    """The root of a packet that is XML, names as they stand there.

    ElementTree keeps no prefixes but those that it is told of, for all documents and for good.
    """
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(xmp.rstrip(b"\0"), True)
    return builder.close()
