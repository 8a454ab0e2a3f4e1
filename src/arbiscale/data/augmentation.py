"""Random changes to training crops, the same ones for the same (seed, sample index)."""

from __future__ import annotations

import hashlib
import random

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

from arbiscale.config.data import AugmentationSettings


class Augmentation:
    """Zooms out, cuts, mirrors and transposes through albumentations.

    Args:
        settings: sizes and probabilities.
        stored_px: side of the stored crops, at least `crop_px * zoom_out`.
        seed: of the stream of samples.
    """

    def __init__(self, settings: AugmentationSettings, stored_px: int, seed: int) -> None:
        self._seed = seed
        self._transforms = albumentations.Compose(
            [
                _cut(settings, stored_px),
                albumentations.HorizontalFlip(p=settings.horizontal_flip),
                albumentations.VerticalFlip(p=settings.vertical_flip),
                albumentations.Transpose(p=settings.transpose),
            ]
        )
        cv2.setNumThreads(0)  # crops are small; its threads do not survive a forked worker

    def __call__(self, crop: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The stored crop (stored_px, stored_px, 3) as sample `index` shows it: (crop_px, crop_px, 3)."""
        digest = hashlib.blake2b(f"{self._seed}/{index}".encode(), digest_size=16).digest()
        seed = int.from_bytes(digest)
        # One state for all transforms: set_random_seed would give each the same draws, so that a crop is
        # mirrored if and only if it is transposed.
        self._transforms.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed: NDArray[np.uint8] = self._transforms(image=crop)["image"]
        return changed


def _cut(settings: AugmentationSettings, stored_px: int) -> albumentations.BasicTransform:
    """A random square of `crop_px`, or of up to `zoom_out` times that, shrunk by averaging areas.

    Cutting first shrinks fewer pixels than shrinking first, and shows the same.
    """
    size = (settings.crop_px, settings.crop_px)
    if settings.zoom_out == 1:
        return albumentations.RandomCrop(*size)
    smallest = (settings.crop_px / stored_px) ** 2  # as fractions of the area
    largest = (settings.crop_px * settings.zoom_out / stored_px) ** 2
    return albumentations.RandomResizedCrop(
        size, scale=(smallest, min(largest, 1)), ratio=(1, 1), interpolation=cv2.INTER_AREA
    )
