"""The user's own photographs, from a directory."""

from __future__ import annotations

import shutil
from pathlib import Path

from arbiscale.config.data import FolderSettings
from arbiscale.data.manifest import Photograph
from arbiscale.errors import UserError
from arbiscale.files import sha256_of
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import find_pictures
from arbiscale.workspace import repository_root


def fetch(settings: FolderSettings, folder: Path) -> list[Photograph]:
    """Copy the pictures below the user's directory into `folder`, keeping their sub-directories.

    Hidden files, linked folders and what else is left out is counted with its reason. A relative path counts
    from the repository, which DVC's temporary workspaces are copies of.

    Raises:
        UserError: the directory is missing, holds no picture, or holds what this very pipeline writes.
    """
    original = repository_root() / Path(settings.path).expanduser()
    key = f"data.folder.path: {settings.path}"
    if not original.exists():
        raise UserError(f"{key}: no such folder; name the folder that holds your photographs")
    if not original.is_dir():
        raise UserError(f"{key}: is not a folder; name the folder that holds your photographs")
    if folder.resolve().is_relative_to(original.resolve()):
        raise UserError(f"{key}: also holds the pipeline's own pictures; name a folder of photographs only")
    found = find_pictures(original, PHOTOGRAPH_SUFFIXES)
    for path in [each for each in found.files if not _is_text(str(each))]:  # no JSON holds such a name
        found.files.remove(path)
        found.leave_out(path, "with names that are no UTF-8")
    names = [path.relative_to(original).as_posix() for path in found.files]
    if found.left_out:
        print(f"{key}: {found.summary()}", flush=True)
    if not names:
        suffixes = ", ".join(sorted(PHOTOGRAPH_SUFFIXES))
        raise UserError(f"{key}: holds no picture ({suffixes}); name the folder that holds your photographs")
    return [_copy(original / name, name, folder) for name in names]


def _is_text(name: str) -> bool:
    return name.encode(errors="ignore").decode() == name


def _copy(original: Path, name: str, folder: Path) -> Photograph:
    copy = folder / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(original, copy)
    except OSError as error:
        raise UserError(f"{original}: cannot be copied ({error.strerror}); check its permissions") from None
    return Photograph(name=name, sha256=sha256_of(copy), origin=name)
