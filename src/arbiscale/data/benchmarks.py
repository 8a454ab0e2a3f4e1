"""Pictures that models are measured on: a folder that is here, or an archive of a web server.

An archive is fetched and its pictures are unpacked once, into downloads/benchmarks of the repository. What is
at an address is taken to stay.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from arbiscale.config.addresses import ArchiveAddress, parse_archive_address
from arbiscale.data.downloads import alone, fetch, missing
from arbiscale.data.sources.archives import Archive, Member, is_archive, open_archive, stem_of
from arbiscale.data.transfer import RemoteFile, without_secrets
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.progress import readable_size
from arbiscale.workspace import repository_root

FOLDER = Path("downloads/benchmarks")
CONNECTIONS = 4


def pictures_folder(place: str, key: str) -> Path:
    """The folder of a set's pictures, which is made where the place is an address.

    Args:
        place: a folder (a relative one counts from the repository), or an archive's address.
        key: of params.yaml, for errors.

    Raises:
        UserError: the address brings no archive, or not the pictures that it names.
        UnavailableError: it cannot be reached.
    """
    address = parse_archive_address(place)
    if address is None:
        return repository_root() / Path(place).expanduser()
    file, home = _remote(address, key), _home(address)
    target = home / f"pictures-{address.folder.replace('%', '%25').replace('/', '%2F')}"
    if target.is_dir():
        return target
    with alone(home, ".unpacking"):
        if not target.is_dir():
            fetch([file], home, CONNECTIONS)
            _unpack(home / file.name, address.folder, target, f"{key}: {without_secrets(address.url)}")
    return target


def pending(place: str, key: str) -> str:
    """The archive that `pictures_folder` would fetch; empty = none."""
    address = parse_archive_address(place)
    if address is None or not missing([_remote(address, key)], _home(address)):
        return ""
    return without_secrets(address.url)


def _home(address: ArchiveAddress) -> Path:
    """Where everything of an address lies; another checksum is another address."""
    digest = hashlib.sha256(f"{address.url} {address.sha256}".encode()).hexdigest()
    return repository_root() / FOLDER / f"{stem_of(_name(address))}-{digest[:8]}"


def _name(address: ArchiveAddress) -> str:
    return PurePosixPath(unquote(urlsplit(address.url).path)).name


def _remote(address: ArchiveAddress, key: str) -> RemoteFile:
    name = _name(address)
    if name.startswith(".") or not is_archive(name):
        raise UserError(
            f"{key}: {without_secrets(address.url)}: is no archive (zip, tar); name one, or a folder"
        )
    return RemoteFile(name, address.url, None, address.sha256, key)


def _unpack(path: Path, folder: str, target: Path, shown: str) -> None:
    """Write all pictures, or none: a set without one of them is another set."""
    archive = open_archive(path)
    pictures = _pictures(archive, folder, shown)
    for member in pictures.values():
        if member.problem:
            raise UserError(f"{shown}: {member.name}: {member.problem}; name another archive")
    needed, free = sum(each.size for each in pictures.values()), shutil.disk_usage(path.parent).free
    if needed > free:
        raise UserError(f"{target}: {readable_size(needed)} are needed, {readable_size(free)} are free")
    with atomic_folder(target) as temporary:
        for name, member in pictures.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                content = archive.read(member.name)
            except UserError as error:
                raise UserError(f"{shown}: {member.name}: {error}; name another archive") from None
            (temporary / name).write_bytes(content)


def _pictures(archive: Archive, folder: str, shown: str) -> dict[str, Member]:
    """The pictures below the one folder of that name, by their names there."""
    places: dict[str, dict[str, Member]] = {}
    for member in archive.members():
        before, found, name = f"/{member.name}".partition(f"/{folder}/") if folder else ("", "/", member.name)
        path = PurePosixPath(name)
        if found and path.suffix.lower() in PHOTOGRAPH_SUFFIXES and not path.name.startswith("."):
            places.setdefault(before, {})[name] = member
    if not places:
        below = f" below a folder {folder}" if folder else ""
        raise UserError(f"{shown}: holds no picture{below}; name a folder of it that does, as #folder=NAME")
    if len(places) > 1:
        several = ", ".join(f"{before[1:]}/{folder}".lstrip("/") for before in sorted(places))
        raise UserError(f"{shown}: holds several folders {folder} ({several}); name one of them")
    return next(iter(places.values()))
