"""The geometric self-ensemble: a picture drawn in its 8 orientations, each turned back, and their mean.

EDSR's "+" (arXiv 1707.02921, section 3.3), and what other tools call test-time augmentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.orientations import ORIENTATIONS, Orientation
from arbiscale.imaging.picture import Picture
from arbiscale.inference.decoding import Head, LatentDecoder
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.features import FeatureRows
from arbiscale.inference.tiles import Tiling
from arbiscale.networks.texture import Texture

MEMBERS = len(ORIENTATIONS)


class ManyLatentsDecoder(LatentDecoder, Protocol):
    """A model whose networks take each of several latents laid in its own way."""

    def feature_rows(
        self,
        latent: Tensor | None,
        low: Tensor | None,
        tiling: Tiling | None,
        seen: Sequence[Orientation] = ...,
    ) -> FeatureRows:
        """See `Model.feature_rows`."""


def turned(picture: Picture, orientation: Orientation) -> Picture:
    """The colours of a picture, laid so."""
    return Picture(orientation.turn_pixels(picture.colour))


def mean_drawing(model: ManyLatentsDecoder, picture: Picture, members: Iterable[Drawing]) -> Drawing:
    """The drawing of a picture that is the mean of those of the picture laid in each of `ORIENTATIONS`.

    It keeps their latents, turned back: shape (8, channels, height, width).
    """
    latents, tiling, seed = [], None, 0
    for orientation, member in zip(ORIENTATIONS, members, strict=True):
        tiling, seed = member.tiling if not orientation.quarters % 2 else tiling, member.seed
        if member.latent is not None:
            latents.append(orientation.turn_back(member.latent))
    return Drawing(SelfEnsemble(model), torch.cat(latents) if latents else None, picture, tiling, seed=seed)


class SelfEnsemble:
    """A model as 8 of it, each of which sees and draws the picture laid in its own way: `LatentDecoder`.

    Features lie upright, as latents do: the members' beside each other, one batch. So they are computed, read
    and let go from top to bottom, whichever way a member sees them.
    """

    def __init__(self, model: ManyLatentsDecoder) -> None:
        self.device = model.device
        self.base_kernel = model.base_kernel
        self.reads_picture = model.reads_picture
        self.head: Head = MeanHead(model.head)
        self._model = model

    def computing(self) -> AbstractContextManager[None]:
        """See `LatentDecoder`."""
        return self._model.computing()

    def feature_rows(self, latent: Tensor | None, low: Tensor | None, tiling: Tiling | None) -> FeatureRows:
        """See `LatentDecoder`; of all members."""
        return self._model.feature_rows(latent, low, tiling, ORIENTATIONS)

    def texture(self, temperature: float | None, seed: int | tuple[int, ...]) -> Texture:
        """See `LatentDecoder`."""
        return self._model.texture(temperature, seed)

    def share_of_branch(self, fidelity: float | None) -> float:
        """See `LatentDecoder`."""
        return self._model.share_of_branch(fidelity)


class MeanHead:
    """Draws the features of each member laid as it saw them, turns what it drew back, and takes the mean."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def rows_read(self, start: int, count: int, outputs: int, inputs: int) -> tuple[int, int]:
        """See `LocalEnsembleHead.rows_read`; from above or from below: neighbours at a tie are others."""
        first, stop = self._head.rows_read(start, count, outputs, inputs)
        below, above = self._head.rows_read(outputs - start - count, count, outputs, inputs)
        return min(first, inputs - above), max(stop, inputs - below)

    def __call__(
        self,
        features: Tensor,
        size: Size,
        region: Region,
        *,
        inputs: Size,
        origin: tuple[int, int],
        texture: Texture,
    ) -> Tensor:
        """Colours (1, 3, *region size) from the members' features; see `LocalEnsembleHead.forward`."""
        read = (*origin, features.shape[-2], features.shape[-1])
        total: Tensor | None = None
        for own, orientation in zip(features.split(1), ORIENTATIONS, strict=True):
            drawn = self._head(
                orientation.turn(own),
                orientation.size(size),
                orientation.region(region, size),
                inputs=orientation.size(inputs),
                origin=orientation.region(read, inputs)[:2],
                texture=texture,
            )
            upright = orientation.turn_back(drawn)
            total = upright if total is None else total + upright
        assert total is not None
        return total / MEMBERS
