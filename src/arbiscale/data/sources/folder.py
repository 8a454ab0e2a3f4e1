"""The user's own photographs, in a directory: read where they lie."""

from __future__ import annotations

import os
from pathlib import Path

from arbiscale.config.data import FolderSettings
from arbiscale.data.manifest import Rejected
from arbiscale.data.sources.source import (
    CORES,
    Entry,
    Listing,
    Source,
    UnreadableError,
    is_text,
    no_picture,
    shown,
)
from arbiscale.errors import UserError
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures
from arbiscale.workspace import repository_root

_REJECTED = {"broken links": "is a broken link", "no regular files": "is no regular file"}  # each is named
_OWN = Path("data/crops")  # holds pictures that the pipeline makes


class Folder(Source):
    """The pictures below a directory, with their sub-directories.

    Hidden files, linked folders and what else is no picture is counted with its reason. A relative path
    counts from the repository, which DVC's temporary workspaces are copies of.
    """

    parallel = CORES

    def __init__(self, settings: FolderSettings, *, setting: str = "data.folder.path") -> None:
        self._root = repository_root() / Path(settings.path).expanduser()
        self._setting = f"{setting}: {settings.path}"
        self.key = f"folder {self._root.resolve()}"

    def list(self) -> Listing:
        """Every picture, stamped with its modification time.

        Raises:
            UserError: the directory is missing, holds no picture, or holds what this very pipeline writes.
        """
        root, setting = self._root, self._setting
        if not root.exists():
            raise UserError(f"{setting}: no such folder; name the folder that holds your photographs")
        if not root.is_dir():
            raise UserError(f"{setting}: is neither a folder nor an archive; name one of photographs")
        own = [(workspace / _OWN).resolve() for workspace in (Path(), repository_root())]
        if any(each.is_relative_to(root.resolve()) for each in own):
            raise UserError(f"{setting}: also holds the pipeline's own pictures; name photographs only")
        found = find_pictures(root, PHOTOGRAPH_SUFFIXES)
        rejected = [
            Rejected(shown(self._name(path)), reason)
            for kind, reason in _REJECTED.items()
            for path in found.left_out.pop(kind, [])
            if path.suffix.lower() in PHOTOGRAPH_SUFFIXES
        ]
        entries = []
        for path in found.files:
            name = self._name(path)
            if not is_text(name):  # no JSON holds it
                rejected.append(Rejected(shown(name), "has a name that is no UTF-8; rename it"))
                continue
            if not os.access(path, os.R_OK):  # so that `dvc repro` notices when it may be read
                rejected.append(Rejected(name, "cannot be read; check its permissions"))
                continue
            status = path.stat()
            entries.append(Entry(name, status.st_size, str(status.st_mtime_ns), name))
        if not entries:
            raise no_picture(setting, "name the folder of your photographs")
        return Listing(sorted(entries, key=lambda entry: entry.name), rejected, found.summary())

    def read(self, name: str) -> bytes:
        """The file of one.

        Raises:
            UnreadableError: it cannot be.
        """
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror}); check its permissions") from None

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
