"""A dataset repository of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from time import sleep
from typing import TypeVar

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import RepoSibling

from arbiscale.config.data import DownloadSettings, HubSettings
from arbiscale.data import connections
from arbiscale.data.sources.archives import ARCHIVE_SUFFIXES, is_archive, open_archive, stem_of
from arbiscale.data.sources.pieces import Folder, Piece, Pieces
from arbiscale.data.sources.source import no_picture
from arbiscale.data.sources.urls import downloads_folder
from arbiscale.errors import UnavailableError, UserError, first_line
from arbiscale.files import sha256_of, sha256_of_json, write_json
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES

Answer = TypeVar("Answer")

_ATTEMPTS = 4
_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2")  # whose errors huggingface_hub passes on


class Hub(Pieces):
    """A repository's pictures and archives, in the hub's own cache, where other programs find them too.

    Endpoint, token, cache and whether to stay offline are huggingface_hub's (HF_ENDPOINT, HF_TOKEN, HF_HOME,
    HF_HUB_OFFLINE); it resumes, verifies and locks by itself.
    """

    def __init__(self, settings: HubSettings, downloads: DownloadSettings) -> None:
        super().__init__()
        self._settings = settings
        self._shown = f"data.hub.repository: {settings.repository}"
        self.key = f"hub {settings.repository} {settings.revision} {settings.files}"
        self._record = downloads_folder(downloads) / "hub" / f"{settings.repository}.json"

    def pending(self) -> str:
        """The repository, where its cache lacks this revision or a part of it."""
        settings = self._settings
        return "" if self._cached() else f"{settings.repository} at {settings.revision}"

    def _cached(self) -> Path | None:
        """The snapshot in the cache; None where there is none, or this project's last fetch did not end.

        The cache itself gives what there is for the whole.
        """
        with suppress(FileNotFoundError, ValueError):
            if json.loads(self._record.read_bytes()) != self._noted(finished=True):
                return None
        with suppress(UserError):
            return self._snapshot(offline=True)
        return None

    def _noted(self, *, finished: bool) -> dict[str, str | bool]:
        return {"revision": self._settings.revision, "files": self._settings.files, "finished": finished}

    def state(self) -> dict[str, str | int]:
        """What the repository lists now, by content."""
        blobs = {name: each.blob_id for name, each in self._listed().items()}
        return {"files": len(blobs), "sha256": sha256_of_json(blobs)}

    def bring(self) -> Sequence[Piece]:
        """The pictures, then every archive; what comes is compared with the hashes that the hub lists."""
        before = self._cached()
        try:
            listed = self._listed()  # what holds no picture is not fetched
        except UnavailableError:
            if before is None:
                raise
            return self._pieces(before)
        write_json(self._record, self._noted(finished=False))
        root = self._snapshot(offline=False)  # what is in the cache is not fetched either
        if root != before and self._remove_altered(root, listed):
            root = self._snapshot(offline=False)
            if altered := self._remove_altered(root, listed):
                raise UserError(f"{self._shown}: delivers another {altered[0]} than it lists, twice")
        write_json(self._record, self._noted(finished=True))
        return self._pieces(root)

    def _listed(self) -> dict[str, RepoSibling]:
        """The files that are taken, by their names."""
        found = self._patiently(
            lambda: HfApi().dataset_info(
                self._settings.repository, revision=self._settings.revision, files_metadata=True
            )
        )
        taken = {each.rfilename: each for each in found.siblings or [] if self._is_taken(each.rfilename)}
        if not taken:
            place = f"data.hub.files: {self._settings.repository}: {self._settings.files}"
            raise no_picture(place, f"archives are {', '.join(ARCHIVE_SUFFIXES)}")
        return taken

    @staticmethod
    def _remove_altered(root: Path, listed: Mapping[str, RepoSibling]) -> list[str]:
        """Remove from the cache, and name, what has another hash than is listed: the hub compares sizes."""
        altered = [name for name, each in listed.items() if not _is_same(root / name, each)]
        for name in altered:
            (root / name).resolve().unlink()
            (root / name).unlink(missing_ok=True)
        return altered

    def _pieces(self, root: Path) -> Sequence[Piece]:
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        names = {path: path.relative_to(root).as_posix() for path in files}
        taken = [path for path in files if self._is_taken(names[path])]
        pictures = [path for path in taken if not is_archive(path.name)]
        origin = f"hub:{self._settings.repository}"
        archives = [
            Piece(open_archive(path), f"{origin}/{names[path]}", path, f"{stem_of(names[path])}/")
            for path in taken
            if is_archive(path.name)
        ]
        return [Piece(Folder(root, pictures), origin, root), *archives] if pictures else archives

    def _is_taken(self, name: str) -> bool:
        known = is_archive(name) or Path(name).suffix.lower() in PHOTOGRAPH_SUFFIXES
        hidden = Path(name).name.startswith(".")  # such as a tar archive decompressed beside itself
        return known and not hidden and fnmatchcase(name, self._settings.files)

    def _snapshot(self, *, offline: bool) -> Path:
        download = partial(
            snapshot_download,
            self._settings.repository,
            repo_type="dataset",
            revision=self._settings.revision,
            allow_patterns=self._settings.files,
            local_files_only=offline,
        )
        if offline:
            with self._errors_in_one_line():
                return Path(str(download()))
        return Path(str(self._patiently(download)))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask a few times where the hub cannot be reached: it goes on where it was, but gives up soon."""
        for failures in range(1, _ATTEMPTS):
            try:
                with self._errors_in_one_line():
                    return ask()
            except UnavailableError:
                if HF_HUB_OFFLINE:
                    raise
                sleep(connections.PAUSE_SECONDS * 2 ** (failures - 1))
        with self._errors_in_one_line():
            return ask()

    @contextmanager
    def _errors_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except HfHubHTTPError as error:
            if error.response is not None and error.response.status_code in connections.PASSING:
                raise UnavailableError(f"{self._shown}: does not answer ({first_line(error)})") from None
            raise UserError(
                f"{self._shown}: {first_line(error)}; check name, revision and HF_TOKEN"
            ) from None
        except (HFValidationError, ValueError) as error:
            raise UserError(f"{self._shown}: {first_line(error)}") from None
        except Exception as error:
            known = isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _CLIENTS
            if not known:
                raise
            reason = first_line(error.__cause__ or error)  # no connection, offline mode, a full disk
            raise UnavailableError(f"{self._shown}: cannot be fetched ({reason})") from None


def _is_same(path: Path, listed: RepoSibling) -> bool:
    """Whether a file is the one that is listed: by its sha256 where it is large, else by Git's hash."""
    if listed.lfs:
        return sha256_of(path) == listed.lfs.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest() == listed.blob_id
