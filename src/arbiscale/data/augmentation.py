"""Random changes to training crops, the same ones for the same (seed, sample index)."""

from __future__ import annotations

import hashlib
import random

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import AugmentationSettings
from arbiscale.config.sizes import Size


class Augmentation:
    """Zooms out, cuts, mirrors and transposes through albumentations.

    Args:
        settings: sizes and probabilities.
        stored: (height, width) of the stored crops, at least `zoom_out` times the next.
        size: (height, width) of what training sees, of the same proportions.
        seed: of the stream of samples.
    """

    def __init__(self, settings: AugmentationSettings, stored: Size, size: Size, seed: int) -> None:
        self._seed = seed
        self._transforms = albumentations.Compose(
            [
                _cut(settings.zoom_out, stored, size),
                albumentations.HorizontalFlip(p=settings.horizontal_flip),
                albumentations.VerticalFlip(p=settings.vertical_flip),
                albumentations.Transpose(p=settings.transpose),
            ]
        )
        cv2.setNumThreads(0)  # crops are small; its threads do not survive a forked worker

    def __call__(self, crop: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The stored crop (*stored, 3) as sample `index` shows it: (*size, 3)."""
        digest = hashlib.blake2b(f"{self._seed}/{index}".encode(), digest_size=16).digest()
        seed = int.from_bytes(digest)
        # One state for all transforms: set_random_seed would give each the same draws, so that a crop is
        # mirrored if and only if it is transposed.
        self._transforms.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed: NDArray[np.uint8] = self._transforms(image=crop)["image"]
        return changed


def _cut(zoom_out: float, stored: Size, size: Size) -> albumentations.BasicTransform:
    """A random part of a size, or of up to `zoom_out` times that, shrunk by averaging areas.

    Cutting first shrinks fewer pixels than shrinking first, and shows the same.
    """
    if zoom_out == 1:
        return albumentations.RandomCrop(*size)
    smallest = (size[0] / stored[0]) ** 2  # as fractions of the area
    largest = (size[0] * zoom_out / stored[0]) ** 2
    ratio = size[1] / size[0]
    return albumentations.RandomResizedCrop(
        size, scale=(smallest, min(largest, 1)), ratio=(ratio, ratio), interpolation=cv2.INTER_AREA
    )
