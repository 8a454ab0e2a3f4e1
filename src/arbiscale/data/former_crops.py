"""Crops of an earlier execution, so that what did not change is not cut again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbiscale.config.sizes import Size
from arbiscale.data.manifest import Box, HeldOut, Photograph, read_manifest
from arbiscale.data.remote_shards import MissingShardError
from arbiscale.data.shards import OpenShards, is_intact
from arbiscale.data.stores import Store, as_png
from arbiscale.errors import UserError


@dataclass(frozen=True)
class Whole:
    """A test photograph as PNG, and its size in pixels."""

    data: bytes
    width: int
    height: int


def whole(pixels: NDArray[np.uint8]) -> Whole:
    """Of pixels (height, width, 3)."""
    return Whole(as_png(pixels), pixels.shape[1], pixels.shape[0])


class FormerCrops:
    """What a folder of crops has of photographs, by their files' sha256.

    Nothing where one of its shards is damaged, or its crops are kept in another way.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._places: dict[tuple[str, Box], tuple[str, int]] = {}
        self._shards = OpenShards()
        self._held: dict[str, HeldOut] = {}
        self._sizes: dict[str, Size] = {}  # of shards
        try:
            manifest = read_manifest(folder)
            usable = all(
                each.file.endswith(store.suffix) and is_intact(folder, each) for each in manifest.shards
            )
        except (UserError, OSError, ValueError):
            return
        if not usable:
            return
        self._places = {(each.source_sha256, each.box): (each.shard, each.index) for each in manifest.crops}
        self._held = {each.source_sha256: each for each in manifest.photographs}
        self._sizes = {each.file: manifest.size_of(each) for each in manifest.shards}

    def crops(self, photograph: Photograph, boxes: Sequence[Box], size: Size) -> Any:
        """What the store made of it for these boxes and that size; None where a crop is missing.

        Raises:
            UnavailableError: they are in a bucket that cannot be reached or refuses.
        """
        found = [self._places.get((photograph.sha256, box)) for box in boxes]
        places = [
            (self._folder / shard, index)
            for shard, index in filter(None, found)
            if self._sizes[shard] == size
        ]
        if len(places) < len(boxes):
            return None
        try:
            return self._store.copied(self._shards, places)
        except MissingShardError:
            return None

    def whole(self, photograph: Photograph, size: Size) -> Whole | None:
        """Its file, where it was held out for testing at this (height, width)."""
        held = self._held.get(photograph.sha256)
        if not held or (held.height, held.width) != size:
            return None
        try:
            data = (self._folder / held.file).read_bytes()
        except OSError:
            return None
        intact = hashlib.sha256(data).hexdigest() == held.sha256
        return Whole(data, held.width, held.height) if intact else None
