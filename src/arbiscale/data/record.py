"""What is known of every fetched photograph; kept beside the files as `sources.json`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.files import write_json

RECORD = "sources.json"
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Photograph:
    """One original file below `photographs/` of a folder of fetched photographs."""

    name: str  # its path below photographs/, with forward slashes
    sha256: str  # of the file
    origin: str  # where it came from, naming nothing of this machine
    licence: str | None = None  # None = unknown: the user's own
    attribution: str | None = None
    scene: str | None = None  # None = told by data.split.scene_pattern
    unfit_for_test: str | None = None  # why it must never be a test photograph

    @property
    def credit(self) -> str | None:
        """Whom to name wherever the picture is shown, and its licence."""
        return f"{self.attribution} ({self.licence})" if self.attribution else None

    def path(self, folder: Path) -> Path:
        """The file, given the folder that holds `sources.json`."""
        return folder / PHOTOGRAPHS / self.name


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(folder: Path, photographs: Sequence[Photograph]) -> None:
    """Write `sources.json`, in the order of the names."""
    in_order = sorted(photographs, key=lambda photograph: photograph.name)
    write_json(folder / RECORD, {"photographs": [dataclasses.asdict(photograph) for photograph in in_order]})


def read_record(folder: Path) -> list[Photograph]:
    """The photographs of a folder, in the order of their names.

    Raises:
        UserError: there is no record, or it is not one.
    """
    path = folder / RECORD
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["photographs"]
        return sorted((Photograph(**entry) for entry in listed), key=lambda photograph: photograph.name)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro download`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `dvc repro --force download`") from None
