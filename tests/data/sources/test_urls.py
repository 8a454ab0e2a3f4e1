"""Addresses of pictures and archives."""

import hashlib
from pathlib import Path

import pytest

from arbiscale.data.index import Index
from arbiscale.data.scan import scan
from arbiscale.errors import UserError
from tests.data.sources.fetching import picture, source, zipped
from tests.data.web_server import WebServer

pytestmark = pytest.mark.usefixtures("quick")


def test_addresses_of_archives_and_pictures(server: WebServer, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(server.files["/photos.zip"]).hexdigest()
    addresses = [f"{server.url}/photos.zip#sha256={sha256}", f"{server.url}/3.png?signature=secret"]
    chosen = source("urls", urls={"addresses": addresses})
    assert chosen.pending() == "photos.zip, 3.png"
    state = chosen.state()
    assert not server.requests
    listing = chosen.list()
    assert chosen.pending() == ""
    assert chosen.state() == state
    assert [each.name for each in listing.entries] == ["3.png", "photos/day/1.png", "photos/day/2.png"]
    assert [(each.source, each.reason) for each in listing.rejected] == [
        ("photos/../up.png", "its name leads out of the archive")
    ]
    assert [chosen.read(each.name) for each in listing.entries] == [picture(3), picture(1), picture(2)]
    assert listing.entries[0].origin == f"{server.url}/3.png"
    assert listing.entries[1].origin == f"{server.url}/photos.zip/day/1.png"
    asked = len(server.requests)
    again = source("urls", urls={"addresses": addresses})
    assert again.read("photos/day/2.png") == picture(2)  # as the stage `crop`, in another process
    assert len(server.requests) == asked


def test_a_file_of_another_address_is_not_taken_for_one_of_the_same_name(server: WebServer) -> None:
    server.files["/other/photos.zip"] = zipped({"4.png": picture(4)})
    for path, first in {"photos.zip": "photos/day/1.png", "other/photos.zip": "photos/4.png"}.items():
        chosen = source("urls", urls={"addresses": [f"{server.url}/{path}"]})
        assert chosen.pending() == "photos.zip"
        assert chosen.list().entries[0].name == first
    assert source("urls", urls={"addresses": [f"{server.url}/photos.zip"]}).pending() == ""


def test_addresses_are_refused_in_one_line(server: WebServer) -> None:
    def message(*addresses: str) -> str:
        with pytest.raises(UserError) as caught:
            source("urls", urls={"addresses": list(addresses)}).list()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "movie.mp4: is neither a picture nor an archive" in message(f"{server.url}/movie.mp4?secret=1")
    assert "two files are called a; name one" in message(f"{server.url}/a.zip", f"{server.url}/b/a.tar")
    assert "/%2e./b.zip: its path leads elsewhere" in message(f"{server.url}/a/../%2e./b.zip")
    server.files["/empty.zip"] = zipped({"readme.txt": b"x"})
    found = message(f"{server.url}/empty.zip")
    assert "/empty.zip: holds no picture (.avif, .bmp," in found
    assert found.endswith("; remove it, or name another")


def test_what_is_damaged_in_an_archive_is_rejected(server: WebServer, tmp_path: Path, index: Index) -> None:
    good = zipped({"1.png": picture(1), "2.png": picture(2), "3.png": b"no picture"})
    server.files["/photos.zip"] = good.replace(picture(2)[-20:], bytes(20))
    chosen = source("urls", urls={"addresses": [f"{server.url}/photos.zip"]})
    record, _ = scan(chosen, tmp_path / "raw", index, "code")
    assert [each.name for each in record.photographs] == ["photos/1.png"]
    assert [each.source for each in record.rejected] == ["photos/2.png", "photos/3.png"]
    assert record.rejected[0].reason.startswith("is damaged in its archive (Bad CRC-32")
