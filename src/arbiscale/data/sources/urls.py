"""Pictures and archives of web servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from arbiscale.config.data import DownloadSettings, UrlSettings
from arbiscale.data.downloads import fetch, missing
from arbiscale.data.sources.archives import is_archive, stem_of
from arbiscale.data.sources.pieces import Piece, Pieces, piece_of
from arbiscale.data.sources.source import is_plain
from arbiscale.data.transfer import RemoteFile, without_secrets
from arbiscale.errors import UserError
from arbiscale.files import sha256_of_json
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.progress import readable_size
from arbiscale.workspace import repository_root


class Urls(Pieces):
    """The files at some addresses. They are fetched once; archives are read in place.

    A file lies in a folder for its host and path, so a file of another address is never taken for it.
    """

    def __init__(self, settings: UrlSettings, downloads: DownloadSettings) -> None:
        super().__init__()
        self._downloads = downloads
        self._folder = downloads_folder(downloads) / "urls"
        self._addresses = settings.addresses
        self.key = f"urls {self._folder.resolve()}"

    def pending(self) -> str:
        """What is not here yet."""
        return described(missing(self._files(), self._folder))

    def state(self) -> dict[str, str | int]:
        """The addresses and checksums: what is at an address is taken to stay."""
        return {"sha256": sha256_of_json(self._addresses)}

    def bring(self) -> Sequence[Piece]:
        """Every file, by its name in the address."""
        files = self._files()
        fetch(files, self._folder, self._downloads.connections)
        return [piece_of(file.path(self._folder), without_secrets(file.url)) for file in files]

    def _files(self) -> list[RemoteFile]:
        files = [_remote(address) for address in self._addresses]
        stems = [stem_of(file.name) for file in files]
        if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
            raise UserError(f"data.urls.addresses: two files are called {twice[0]}; name one of them")
        return files


def _remote(address: str) -> RemoteFile:
    url, _, sha256 = address.partition("#sha256=")
    parts = urlsplit(without_secrets(url))
    path = PurePosixPath(unquote(parts.path).lstrip("/"))
    name, named = path.name, f"data.urls.addresses: {parts.geturl()}"
    if not is_plain(path.as_posix()):
        raise UserError(f"{named}: its path leads elsewhere; name it without ..")
    if name.startswith(".") or not (is_archive(name) or path.suffix.lower() in PHOTOGRAPH_SUFFIXES):
        raise UserError(f"{named}: is neither a picture nor an archive (zip, tar, Parquet)")
    below = f"{parts.netloc}/{path.parent}"
    return RemoteFile(name, url, None, sha256 or None, "data.urls.addresses", below)


def downloads_folder(settings: DownloadSettings) -> Path:
    """Where fetched files lie; a relative path counts from the repository."""
    return repository_root() / Path(settings.folder).expanduser()


def described(files: Sequence[RemoteFile]) -> str:
    """Names, and sizes where they are known."""
    sizes = [f" ({readable_size(file.size)})" if file.size else "" for file in files]
    return ", ".join(f"{file.name}{size}" for file, size in zip(files, sizes, strict=True))
