"""Photographs of the bundled source, as the evaluation reads them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from arbiscale.data.sources.bundled import Bundled
from arbiscale.evaluation.held_out import HeldOutPhotograph
from arbiscale.imaging.reading import read_image


def bundled_photographs(scenes: Collection[str], folder: Path) -> list[HeldOutPhotograph]:
    """The photographs of these scenes, copied into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Bundled()
    found = [(str(each.scene), folder / each.name) for each in source.list().entries if each.scene in scenes]
    for _, path in found:
        path.write_bytes(source.read(path.name))
    return [HeldOutPhotograph(scene, path, scene, read_image(path).shape[:2]) for scene, path in found]
