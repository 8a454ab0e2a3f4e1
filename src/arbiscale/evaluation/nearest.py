"""The training crop that a generated picture resembles most: whether a model draws anew or by heart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.references import CropsBySize, middle
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.proportions import nearest_size
from arbiscale.imaging.resize import resize

THUMBNAIL: Size = (32, 32)  # large enough for a face's features, too small for grain to count


class TrainingCrops:
    """Thumbnails of training crops, made when the first picture of their proportions is looked for.

    Args:
        crops: of one size at least; a picture is compared with those of the nearest proportions.
    """

    def __init__(self, crops: CropsBySize) -> None:
        self._crops = crops
        self._thumbnails: dict[Size, Tensor] = {}

    def nearest(self, picture: Tensor) -> NDArray[np.uint8]:
        """The crop nearest to a picture, mirrored where it is nearer so.

        Distances are those of thumbnails' values, after the mean colour is taken away.

        Args:
            picture: shape (3, height, width), in [0, 1].

        Returns:
            uint8 (height, width, 3): the crop's middle at the picture's size.
        """
        size = (picture.shape[-2], picture.shape[-1])
        own = nearest_size(size, self._crops)
        crops = self._crops[own]
        if own not in self._thumbnails:
            self._thumbnails[own] = torch.cat([_thumbnail(middle(crop, own)) for crop in crops])
        shown = picture[None].cpu()
        both = torch.cat([_thumbnail(each) for each in (shown, shown.flip(-1))])
        distances = torch.cdist(both.flatten(1), self._thumbnails[own].flatten(1))  # (2, crops)
        mirrored, index = divmod(int(distances.argmin()), len(crops))
        found = middle(crops[index], size)[0]
        pixels = (found * 255).round().byte().permute(1, 2, 0).numpy()
        return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def _thumbnail(image: Tensor) -> Tensor:
    """An image (1, 3, height, width) at the size THUMBNAIL, of mean zero."""
    small = resize(image, THUMBNAIL)
    return small - small.mean(dim=(-2, -1), keepdim=True)
