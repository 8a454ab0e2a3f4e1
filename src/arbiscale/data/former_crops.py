"""Crops of an earlier execution, so that what did not change is not cut again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbiscale.data.manifest import Box, HeldOut, Photograph, read_manifest
from arbiscale.data.shards import OpenShards
from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image


class FormerCrops:
    """What a folder of crops has of photographs, by their files' sha256; nothing where it is damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[tuple[str, Box], tuple[str, int]] = {}
        self._shards = OpenShards()
        self._held: dict[str, HeldOut] = {}
        self._size_px = 0
        try:
            manifest = read_manifest(folder)
            whole = all(len(self._shards[folder / each.file]) == each.count for each in manifest.shards)
        except (UserError, OSError, ValueError, EOFError):
            return
        if not whole:
            return
        self._places = {(each.source_sha256, each.box): (each.shard, each.index) for each in manifest.crops}
        self._held = {each.source_sha256: each for each in manifest.photographs}
        self._size_px = manifest.crop_px

    def crops(
        self, photograph: Photograph, boxes: Sequence[Box], size_px: int
    ) -> list[NDArray[np.uint8]] | None:
        """Copies of its crops at these boxes, of that side; None where one is missing."""
        if size_px != self._size_px:
            return None
        places = [self._places.get((photograph.sha256, box)) for box in boxes]
        found = [np.array(self._shards[self._folder / shard][index]) for shard, index in filter(None, places)]
        return found if len(found) == len(boxes) else None

    def whole(self, photograph: Photograph, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Its pixels, where it was held out for testing at this (width, height)."""
        held = self._held.get(photograph.sha256)
        return read_image(self._folder / held.file) if held and (held.width, held.height) == size else None
