"""The training crop that a generated picture resembles most: whether a model draws anew or by heart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation.references import middle
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.resize import resize

THUMBNAIL: Size = (32, 32)  # large enough for a face's features, too small for grain to count


class TrainingCrops:
    """Thumbnails of all training crops, made when the first picture is looked for.

    Args:
        crops: square, uint8 (crop_px, crop_px, 3).
    """

    def __init__(self, crops: Sequence[NDArray[np.uint8]]) -> None:
        self._crops = crops
        self._thumbnails: Tensor | None = None

    def nearest(self, picture: Tensor) -> NDArray[np.uint8]:
        """The crop nearest to a picture, mirrored where it is nearer so.

        Distances are those of thumbnails' values, after the mean colour is taken away.

        Args:
            picture: shape (3, height, width), in [0, 1].

        Returns:
            uint8 (height, width, 3): the crop's middle at the picture's size.
        """
        if self._thumbnails is None:
            self._thumbnails = torch.cat([_thumbnail(middle(crop, THUMBNAIL)) for crop in self._crops])
        shown = picture[None].cpu()
        both = torch.cat([_thumbnail(resize(each, THUMBNAIL)) for each in (shown, shown.flip(-1))])
        distances = torch.cdist(both.flatten(1), self._thumbnails.flatten(1))  # (2, crops)
        mirrored, index = divmod(int(distances.argmin()), len(self._crops))
        found = middle(self._crops[index], (picture.shape[-2], picture.shape[-1]))[0]
        pixels = (found * 255).round().byte().permute(1, 2, 0).numpy()
        return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def _thumbnail(image: Tensor) -> Tensor:
    """Shape (1, 3, *THUMBNAIL), of mean zero."""
    return image - image.mean(dim=(-2, -1), keepdim=True)
