"""A training's checkpoints as files: their names, which is the newest whole one; imports no torch."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

REGULAR, BEST = "step", "best"


def checkpoint_file(folder: Path, step: int, kind: str = REGULAR) -> Path:
    """Where the state of an optimizer step lies; of kind BEST, that of the best validation."""
    return folder / f"{kind}-{step:09d}.ckpt"


def step_of(checkpoint: Path) -> int:
    """The optimizer step of a checkpoint, by its name."""
    return int(checkpoint.stem.rpartition("-")[2])


def checkpoints(folder: Path, kind: str = REGULAR) -> list[Path]:
    """All of a kind, the newest first."""
    return sorted(folder.glob(f"{kind}-*.ckpt"), reverse=True)


def newest_whole(folder: Path) -> Path | None:
    """The checkpoint to go on from: the newest one that can be read, also the best validation's.

    A damaged one is reported, and renamed so that nothing takes it for a checkpoint again.
    """
    for path in sorted((*checkpoints(folder), *checkpoints(folder, BEST)), key=step_of, reverse=True):
        if _is_whole(path):
            return path
        print(f"WARNING: {path}: is damaged; the one before it is taken", file=sys.stderr, flush=True)
        path.replace(path.with_suffix(".damaged"))
    return None


def resumable_step(folder: Path) -> int | None:
    """The step of the newest checkpoint that is not cut off, None without any: a quick look."""
    return next((step_of(path) for path in checkpoints(folder) if zipfile.is_zipfile(path)), None)


def _is_whole(path: Path) -> bool:
    """Whether every part of a file that torch wrote, a zip archive, has the checksum written with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
