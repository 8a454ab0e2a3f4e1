"""Pictures of a protocol that are not the held-out photographs: the user's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.evaluation.crops import HeldOutCrop
from arbiscale.imaging.picture_files import READABLE_SUFFIXES, read_image
from arbiscale.workspace import repository_root


class PictureFolder(Sequence[HeldOutCrop]):
    """The pictures below a folder, whole, by name; each is read when it is asked for."""

    def __init__(self, folder: str, key: str) -> None:
        """Find the pictures; a relative path counts from the repository.

        Args:
            folder: searched recursively.
            key: of params.yaml, for errors.

        Raises:
            UserError: there is no such folder, or no picture in it.
        """
        root = repository_root() / Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"{key}: {folder} is not a folder; name one that holds high-resolution pictures")
        self._root = root
        self._paths = sorted(
            path for path in root.rglob("*") if path.suffix.lower() in READABLE_SUFFIXES and path.is_file()
        )
        if not self._paths:
            raise UserError(f"{key}: {folder} holds no picture; name one that holds high-resolution pictures")

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> HeldOutCrop:  # type: ignore[override]  # no slices
        """Read a picture; raises UserError where it cannot be read."""
        path = self._paths[index]
        name = path.relative_to(self._root).with_suffix("").as_posix()
        return HeldOutCrop(name, read_image(path))
