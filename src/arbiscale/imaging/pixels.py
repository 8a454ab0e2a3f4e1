"""Between 8-bit pictures and tensors in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_tensor(array: np.ndarray) -> Tensor:
    """An 8-bit picture (height, width, 3) as a tensor (1, 3, height, width) in [-1, 1]."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"expected uint8 (height, width, 3), got {array.dtype} {array.shape}")
    pixels = torch.from_numpy(np.array(array)).permute(2, 0, 1)[None].float()
    return pixels.div_(127.5).sub_(1).contiguous()


def to_array(image: Tensor) -> np.ndarray:
    """A tensor (3, height, width) or (1, 3, height, width) in [-1, 1] as an 8-bit picture, clamped."""
    pixels = image.detach()
    if pixels.ndim == 4:
        (pixels,) = pixels
    pixels = pixels.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())
