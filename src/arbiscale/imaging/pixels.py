"""Between pixels (uint8 or uint16 arrays) and images (tensors in [-1, 1])."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arbiscale.imaging.picture import Pixels


def to_tensor(pixels: Pixels) -> Tensor:
    """Pixels (height, width, channels) as an image (1, channels, height, width) in [-1, 1]."""
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3:
        raise ValueError(f"expected pixels (height, width, channels), got {pixels.dtype} {pixels.shape}")
    planes = pixels.transpose(2, 0, 1)[None]
    image = torch.from_numpy(planes.astype(np.float32, order="C"))  # one copy: pictures may be large
    return image.div_(np.iinfo(pixels.dtype).max / 2).sub_(1)


def to_array(image: Tensor, bits: int = 8) -> Pixels:
    """An image (channels, height, width) or (1, ...) as pixels (height, width, channels).

    Values beyond [-1, 1] are clamped; NaN is black.

    Args:
        image: values in [-1, 1].
        bits: 8 or 16.

    Raises:
        ValueError: more than one image.
    """
    if image.ndim == 4:
        (image,) = image
    half = (2**bits - 1) / 2
    rounded = image.detach().float().nan_to_num(-1).clamp(-1, 1).add(1).mul(half).round().permute(1, 2, 0)
    if bits == 8:
        return np.ascontiguousarray(rounded.to(torch.uint8).cpu().numpy())
    return np.ascontiguousarray(rounded.to(torch.int32).cpu().numpy().astype(np.uint16))
