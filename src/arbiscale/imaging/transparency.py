"""Colours that nobody sees: those of transparent pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from arbiscale.imaging.picture import Picture


def fill_hidden(picture: Picture) -> Picture:
    """The picture with the colours around them in its transparent pixels; what is seen stays as it is.

    Whatever they hold would otherwise bleed into edges when the picture is resized. Weights are opacities, as
    if colours were premultiplied; gaps are filled from ever coarser averages (pull-push: Gortler et al., The
    Lumigraph, 1996).
    """
    if picture.alpha is None or picture.alpha.all() or not picture.alpha.any():
        return picture
    colour = torch.from_numpy(picture.colour.astype(np.float32)).permute(2, 0, 1)[None]
    opacity = torch.from_numpy(picture.alpha.astype(np.float32))[None, None]
    filled = _filled(colour, opacity)[0].permute(1, 2, 0).numpy()
    return replace(picture, colour=np.ascontiguousarray(filled.round().astype(picture.colour.dtype)))


def _filled(colour: Tensor, weight: Tensor) -> Tensor:
    """Colours (1, channels, height, width), those without weight (1, 1, height, width) from coarser ones."""
    size = colour.shape[-2:]
    if weight.min() > 0 or size == (1, 1):
        return colour
    coarse_weight = functional.avg_pool2d(weight, 2, ceil_mode=True)
    coarse = functional.avg_pool2d(colour * weight, 2, ceil_mode=True) / coarse_weight.clamp(min=1e-9)
    around = functional.interpolate(_filled(coarse, coarse_weight), size, mode="bilinear")
    return torch.where(weight > 0, colour, around)
