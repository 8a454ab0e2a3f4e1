"""The user's own photographs, in an archive on this machine: read where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arbiscale.data.sources.archives import open_archive
from arbiscale.data.sources.pieces import Piece, Pieces


class LocalArchive(Pieces):
    """The pictures of a zip or tar archive, or of a Parquet file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.key = f"archive {path.resolve()}"

    def bring(self) -> Sequence[Piece]:
        """The archive; nothing is fetched."""
        return [Piece(open_archive(self._path), self._path.name, self._path)]
