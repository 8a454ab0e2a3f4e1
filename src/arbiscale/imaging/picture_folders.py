"""The pictures below a folder, and what is left out of them: the same for drawing and for data."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.imaging.formats import READ_SUFFIXES


@dataclass
class Found:
    """Files in their order, and what is no picture, by the reason."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def leave_out(self, path: Path, reason: str) -> None:
        """Count a file or folder out."""
        self.left_out.setdefault(reason, []).append(path)

    def summary(self) -> str:
        """What is left out and why, in one line; empty where nothing is."""
        counted = [f"{len(paths)} {reason} ({_some(paths)})" for reason, paths in self.left_out.items()]
        return f"left out: {'; '.join(counted)}" if counted else ""


def find_pictures(folder: Path, suffixes: Collection[str] = READ_SUFFIXES) -> Found:
    """Files of these suffixes below a folder; hidden ones and what links lead to as folders are left out.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")

    found = Found()
    for parent, folders, files in os.walk(folder, onerror=refuse):
        for name in sorted(folders):
            path = Path(parent, name)
            if name.startswith("."):
                found.leave_out(path, "hidden")
            elif path.is_symlink():
                found.leave_out(path, "linked folders")
            else:
                continue
            folders.remove(name)
        for name in files:
            path = Path(parent, name)
            reason = _reason(path, suffixes)
            if reason is None:
                found.files.append(path)
            else:
                found.leave_out(path, reason)
    found.files.sort()
    return found


def _reason(path: Path, suffixes: Collection[str]) -> str | None:
    """Why a file is left out; None = it is not."""
    if path.name.startswith("."):
        return "hidden"
    if path.is_symlink() and not path.exists():
        return "broken links"
    if not path.is_file():
        return "no regular files"
    return None if path.suffix.lower() in suffixes else "of other suffixes"


def _some(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in sorted(paths)[:3]).encode(errors="backslashreplace").decode()
    return names if len(paths) <= 3 else f"{names}, ..."
