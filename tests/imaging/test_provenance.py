import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from arbiscale.imaging.formats import find_format
from arbiscale.imaging.picture import Metadata
from arbiscale.imaging.provenance import read_record, stamped
from arbiscale.imaging.reading import read_metadata
from arbiscale.imaging.writing import Layout, write_picture

RECORD = {"model": 'a <"model"> & ümläut', "seed": "3"}
RATED = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".dzi"])
def test_every_format_with_metadata_holds_the_record(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    layout = Layout((16, 16), metadata=stamped(Metadata(), RECORD))
    write_picture(path, find_format(path), layout, [np.zeros((16, 16, 3), np.uint8)])
    assert read_record(read_metadata(path)) == RECORD


def test_a_deep_zoom_pictures_file_stays_what_viewers_read(tmp_path: Path) -> None:
    """Its own elements are where they were; what is no XML is left out."""
    path = tmp_path / "out.dzi"
    for xmp in (stamped(Metadata(xmp=RATED), RECORD).xmp, b"", b"<x:xmpmeta><a></x:xmpmeta>"):
        layout = Layout((16, 20), metadata=Metadata(xmp=xmp))
        write_picture(path, find_format(path), layout, [np.zeros((16, 20, 3), np.uint8)])
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://schemas.microsoft.com/deepzoom/2008}Image"
        (size,) = root.iterfind("{*}Size")
        assert size.attrib == {"Height": "16", "Width": "20"}
        assert (b"Rating" in path.read_bytes()) == (b"Rating" in xmp)


def test_a_png_tells_it_to_programs_that_read_no_xmp(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    layout = Layout((4, 4), metadata=stamped(Metadata(), RECORD))
    write_picture(path, find_format(path), layout, [np.zeros((4, 4, 3), np.uint8)])
    with Image.open(path) as image:
        text = image.info["arbiscale"]
    assert read_record(Metadata(text={"arbiscale": text})) == RECORD


def test_the_inputs_own_xmp_stays_and_its_record_is_replaced() -> None:
    first = stamped(Metadata(xmp=RATED, text={"Title": "t"}), {"seed": "1", "only": "first"})
    second = stamped(first, RECORD)
    assert read_record(second) == RECORD
    assert b'xmp:Rating="4"' in second.xmp
    assert second.text["Title"] == "t"
    assert second.xmp.count(b"<rdf:Description") == 2
    bare = stamped(second, None)
    assert read_record(bare) == {}
    assert bare.text == {"Title": "t"}
    assert b"arbiscale:" not in bare.xmp
    assert b'xmp:Rating="4"' in bare.xmp


def test_names_may_hold_any_characters() -> None:
    made = stamped(Metadata(), {"input": "a\udce4\x01\nb.png"})
    assert read_record(made) == {"input": "a\\udce4\\x01\nb.png"}
    assert json.loads(made.text["arbiscale"].encode().decode("ascii"))


def test_without_records_nothing_changes() -> None:
    assert stamped(Metadata(xmp=RATED), None) == Metadata(xmp=RATED)
    assert stamped(Metadata(xmp=b"<broken"), None) == Metadata(xmp=b"<broken")


@pytest.mark.parametrize(
    "xmp",
    [
        b"",
        b"no xml",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        RATED.replace(b"/>", b">"),
        RATED.replace(b"</rdf:RDF>", b"<a>" * 50_000 + b"</a>" * 50_000 + b"</rdf:RDF>"),
    ],
    ids=["none", "text", "other", "entities", "broken", "deep"],
)
def test_xmp_that_is_none_is_replaced(xmp: bytes) -> None:
    made = stamped(Metadata(xmp=xmp), RECORD)
    assert read_record(made) == RECORD
    ElementTree.fromstring(made.xmp)


def test_what_other_programs_make_of_it_is_read() -> None:
    """Such as exiftool, which writes elements in place of attributes."""
    made = stamped(Metadata(), {"seed": "3"}).xmp.replace(
        b' arbiscale:seed="3" />', b"><arbiscale:seed>3</arbiscale:seed></rdf:Description>"
    )
    assert read_record(Metadata(xmp=made)) == {"seed": "3"}
    assert read_record(Metadata(text={"arbiscale": "[1]"})) == {}
    assert read_record(Metadata(text={"arbiscale": "{"})) == {}


def test_prefixes_stay_what_they_are_and_are_forgotten_afterwards() -> None:
    """ElementTree's own table of them grew with every picture, and took its square in time."""
    many = " ".join(f'xmlns:p{number}="urn:{number}" p{number}:a="&#10;"' for number in range(20_000))
    xmp = RATED.replace(b'xmlns:xmp="', f'{many} xmlns:ns7="urn:b" ns7:b="c" xmlns:xmp="'.encode())
    for record in (RECORD, {"seed": "1"}):
        made = stamped(Metadata(xmp=xmp), record)
        assert read_record(made) == record
        assert b'p19999:a="&#10;"' in made.xmp
        assert b'ns7:b="c"' in made.xmp
        xmp = made.xmp
    for space in ("urn:19999", "urn:b"):
        assert ElementTree.tostring(ElementTree.Element(f"{{{space}}}a")).startswith(b"<ns0:a ")


def test_a_record_under_another_prefix_is_replaced_too() -> None:
    made = (
        stamped(Metadata(xmp=RATED), RECORD).xmp.replace(b"arbiscale:", b"a:").replace(b":arbiscale=", b":a=")
    )
    other = stamped(Metadata(xmp=made), {"seed": "1"})
    assert read_record(other) == {"seed": "1"}
    assert b'xmp:Rating="4"' in other.xmp
