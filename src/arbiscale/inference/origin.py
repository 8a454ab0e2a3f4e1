"""Where a model came from: its folder, what it is called, and which run made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.tracking.registry import check_registered
from arbiscale.tracking.versions import SCHEME
from arbiscale.workspace import PRETRAINED, SHIPPED_MODEL, repository_root

IDENTITY = ("model", "version", "model_sha256", "run", "commit")  # of a model, as pictures name it


@dataclass(frozen=True)
class Origin:
    """Where a model came from.

    Attributes:
        folder: that holds it.
        name: of the registered model, else of the folder.
        version: of the registered model; None = it is none.
        registered_run: the run that made the version, and its commit.
    """

    folder: Path
    name: str
    version: int | None = None
    registered_run: tuple[str, str] = ("", "")

    @cached_property
    def sha256(self) -> str:
        """Of the folder's files, as the registry and the runs call it."""
        return content_hash(self.folder)

    @cached_property
    def run(self) -> tuple[str, str]:
        """The id and the commit of the run that made it; of a folder, the one of runs/ that says so."""
        if self.version is not None:
            return self.registered_run
        for path in sorted((repository_root() / "runs").glob("*.json")):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                if record.get("model_sha256") == self.sha256:
                    return str(record["run_id"]), str(record.get("git_commit") or "")
            except (OSError, ValueError, KeyError, AttributeError):
                continue
        return "", ""

    @property
    def record(self) -> dict[str, str]:
        """What of it stands in a picture; what is not known is left out."""
        run_id, commit = self.run
        version = "" if self.version is None else str(self.version)
        values = (self.name, version, self.sha256, run_id, commit)
        return {name: value for name, value in zip(IDENTITY, values, strict=True) if value}


def find_origin(where: str | Path) -> Origin:
    """The model that is named by a folder, `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `pretrained`.

    Raises:
        UserError: the registry has no such model, or cannot be reached.
    """
    if where == PRETRAINED:
        return Origin(SHIPPED_MODEL, PRETRAINED)
    if not str(where).startswith(SCHEME):
        return Origin(Path(where), Path(where).resolve().name)
    check_registered(str(where))
    from arbiscale.tracking.registry import resolve

    folder, found = resolve(str(where))
    return Origin(folder, found.name, found.number, (found.run_id, found.tags.get("git_commit", "")))


def find_recorded(sha256: str) -> str:
    """What names the model of a hash: the shipped one, one of this repository's, else one of its registry's.

    Raises:
        UserError: there is none, or the registry cannot be reached.
    """
    if content_hash(SHIPPED_MODEL) == sha256:
        return PRETRAINED
    for config in sorted((repository_root() / "models").rglob("config.json")):
        if content_hash(config.parent) == sha256:
            return str(config.parent)
    from arbiscale.tracking.registry import find_by_hash, has_registry

    found = find_by_hash(sha256) if has_registry() else None
    if found is None:
        raise UserError(f"no model of sha256 {sha256[:12]} is here or in the registry; name it with --model")
    return found
