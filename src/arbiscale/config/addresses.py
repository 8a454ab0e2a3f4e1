"""Addresses of web servers, and places of pictures: folders, or archives at an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from arbiscale.config.named import Named

_ADDRESS = r"https?://[^/\s]+/\S*"
_SCHEME = re.compile(r"\w+://")
_ARCHIVE = re.compile(r"(?P<url>https?://[^/\s]+/[^\s#]+)(#(?P<options>\S+))?")


def _without_password(address: str) -> str:
    if "@" in urlsplit(address).netloc:  # it would be recorded; and is not repeated here
        raise ValueError("an address must hold no user and password; put them into ~/.netrc")
    return address


def _is_place(place: str) -> str:
    if _SCHEME.match(place):
        parse_archive_address(_without_password(place))
    return place


def _names_place(entry: str) -> str:
    _is_place(entry.partition("=")[2])
    return entry


Address = Annotated[
    str,
    Field(pattern=f"^{_ADDRESS}$", description="an address, https://HOST/PATH"),
    AfterValidator(_without_password),
]
Place = Annotated[str, AfterValidator(_is_place)]  # empty, a folder, or an archive's address
NamedPlace = Annotated[Named, AfterValidator(_names_place)]  # NAME=PLACE


@dataclass(frozen=True)
class ArchiveAddress:
    """An archive of pictures on a web server: `URL`, `URL#sha256=...`, `URL#folder=Set5/HR&sha256=...`.

    Attributes:
        folder: only what lies in a folder of this name, wherever that is in the archive; empty = all.
        sha256: that the archive must have; None = any.
    """

    url: str
    folder: str = ""
    sha256: str | None = None


def parse_archive_address(place: str) -> ArchiveAddress | None:
    """What an address says; None = the place is a folder.

    Raises:
        ValueError: it is no address of an archive.
    """
    if not _SCHEME.match(place):
        return None
    match = _ARCHIVE.fullmatch(place)
    options = (
        [each.partition("=")[::2] for each in (match["options"] or "").split("&") if each] if match else []
    )
    found = dict(options)
    folder, sha256 = found.pop("folder", ""), found.pop("sha256", None)
    path = PurePosixPath(folder)
    plain = folder in ("", path.as_posix()) and not path.is_absolute() and ".." not in path.parts
    if not match or found or not plain or not re.fullmatch("[0-9a-f]{64}", sha256 or "0" * 64):
        raise ValueError(
            "must be a folder, or look like https://host/name.zip, name.zip#folder=HR, "
            f"name.zip#folder=HR&sha256=... of 64 digits (got {place!r})"
        )
    return ArchiveAddress(match["url"], folder, sha256)
