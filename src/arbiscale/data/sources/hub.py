"""A dataset repository of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from arbiscale.config.data import HubSettings
from arbiscale.data.sources.archives import ARCHIVE_SUFFIXES, is_archive, open_archive, stem_of
from arbiscale.data.sources.pieces import Folder, Piece, Pieces
from arbiscale.data.sources.source import no_picture
from arbiscale.errors import UnavailableError, UserError, first_line
from arbiscale.files import sha256_of_json
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES


class Hub(Pieces):
    """A repository's pictures and archives, in the hub's own cache, where other programs find them too.

    Endpoint, token, cache and whether to stay offline are huggingface_hub's (HF_ENDPOINT, HF_TOKEN, HF_HOME,
    HF_HUB_OFFLINE); it resumes, verifies and locks by itself.
    """

    def __init__(self, settings: HubSettings) -> None:
        super().__init__()
        self._settings = settings
        self.key = f"hub {settings.repository} {settings.revision} {settings.files}"

    def pending(self) -> str:
        """The repository, where its cache lacks this revision."""
        try:
            self._snapshot(offline=True)
        except UserError:
            return f"{self._settings.repository} at {self._settings.revision}"
        return ""

    def state(self) -> dict[str, str | int]:
        """What the repository lists now, by content."""
        with self._errors_in_one_line():
            found = HfApi().dataset_info(
                self._settings.repository, revision=self._settings.revision, files_metadata=True
            )
            files = {each.rfilename: each.blob_id for each in found.siblings or []}
        taken = {name: blob for name, blob in files.items() if self._is_taken(name)}
        if not taken:
            place = f"data.hub.files: {self._settings.repository}: {self._settings.files}"
            raise no_picture(place, f"archives are {', '.join(ARCHIVE_SUFFIXES)}")
        return {"files": len(taken), "sha256": sha256_of_json(taken)}

    def bring(self) -> Sequence[Piece]:
        """The pictures, then every archive."""
        try:
            self.state()  # what holds no picture is not fetched
            root = self._snapshot(offline=False)  # what is in the cache is not either
        except UnavailableError:
            root = self._snapshot(offline=True)
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        names = {path: path.relative_to(root).as_posix() for path in files}
        taken = [path for path in files if self._is_taken(names[path])]
        pictures = [path for path in taken if not is_archive(path.name)]
        origin = f"hub:{self._settings.repository}"
        archives = [
            Piece(open_archive(path), f"{origin}/{names[path]}", f"{stem_of(names[path])}/")
            for path in taken
            if is_archive(path.name)
        ]
        return [Piece(Folder(root, pictures), origin), *archives] if pictures else archives

    def _is_taken(self, name: str) -> bool:
        known = is_archive(name) or Path(name).suffix.lower() in PHOTOGRAPH_SUFFIXES
        hidden = Path(name).name.startswith(".")  # such as a tar archive decompressed beside itself
        return known and not hidden and fnmatchcase(name, self._settings.files)

    def _snapshot(self, *, offline: bool) -> Path:
        with self._errors_in_one_line():
            folder = snapshot_download(
                self._settings.repository,
                repo_type="dataset",
                revision=self._settings.revision,
                allow_patterns=self._settings.files,
                local_files_only=offline,
            )
            return Path(str(folder))

    @contextmanager
    def _errors_in_one_line(self) -> Iterator[None]:
        name = f"data.hub.repository: {self._settings.repository}"
        try:
            yield
        except HfHubHTTPError as error:
            raise UserError(f"{name}: {first_line(error)}; check name, revision and HF_TOKEN") from None
        except (HFValidationError, ValueError) as error:
            raise UserError(f"{name}: {first_line(error)}") from None
        except OSError as error:  # no connection, offline mode, a full disk
            raise UnavailableError(f"{name}: cannot be fetched ({first_line(error)})") from None
