"""Pictures of a protocol that are not the held-out photographs: the user's folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.evaluation.crops import HeldOutCrop
from arbiscale.images import READABLE_SUFFIXES, read_image
from arbiscale.workspace import repository_root


class PictureFolder:
    """The pictures below a folder, whole, by name; read anew each time they are gone through."""

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

    def __iter__(self) -> Iterator[HeldOutCrop]:
        """Read the pictures one after the other; raises UserError for one that cannot be read."""
        for path in self._paths:
            name = path.relative_to(self._root).with_suffix("").as_posix()
            yield HeldOutCrop(name, read_image(path))
