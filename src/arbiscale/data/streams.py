"""What a training stage reads from the crops: an endless stream, and a few crops to validate on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from arbiscale.config.data import AugmentationSettings
from arbiscale.data.dataset import CropDataset

VALIDATION_CROPS = 12  # fixed, so that curves compare


def training_streams(
    crops: Path, augmentation: AugmentationSettings, seed: int
) -> tuple[CropDataset, Tensor]:
    """The stream of augmented training crops, and validation crops (batch, 3, crop_px, crop_px).

    Raises:
        UserError: a split has no crops, or they are smaller than what training cuts from them.
    """
    held_out = CropDataset(crops, "validation", None, seed, crop_px=augmentation.crop_px)
    validation = torch.stack([held_out[index] for index in range(min(VALIDATION_CROPS, len(held_out)))])
    return CropDataset(crops, "train", augmentation, seed), validation
