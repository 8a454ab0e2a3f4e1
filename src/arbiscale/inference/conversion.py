"""What callers hand in, a PIL image, an array or a tensor, as a picture and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.picture import Metadata, Picture, Pixels
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.reading import from_pil

_ROUNDING = 1e-3  # by which a tensor may leave [-1, 1]


def to_picture(image: Any) -> Picture:
    """A picture of a picture, a PIL image, an array or a tensor; see `Model.upscale`.

    Raises:
        UserError: another type, shape or range.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, Tensor):
        batch = image if image.ndim == 4 else image[None]
        if batch.ndim != 4 or batch.shape[:2] != (1, 3):
            raise UserError(f"the picture: must be (3, height, width), not {tuple(image.shape)}")
        if not batch.numel():
            raise UserError(f"the picture: must hold pixels, not be {tuple(image.shape)}")
        if not (batch.abs().max() <= 1 + _ROUNDING):  # written so that NaN fails too
            raise UserError("the picture: a tensor must lie in [-1, 1]")
        return Picture(to_array(batch.detach(), bits=16))
    return Picture(image)


def like(image: Any, samples: Pixels, metadata: Metadata) -> Any:
    """Samples (height, width, 3 or 4) as what an image is: a tensor, a PIL image or an array."""
    if isinstance(image, Tensor):
        signed = to_tensor(samples).to(image.device, torch.float32)
        return signed if image.ndim == 4 else signed[0]
    if not isinstance(image, Image.Image):
        return samples
    if samples.dtype == np.uint16:  # of which Pillow has no RGB
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    drawn = Image.fromarray(samples)
    kept = {"icc_profile": metadata.icc_profile, "exif": metadata.exif}
    drawn.info.update({name: value for name, value in kept.items() if value})
    return drawn
