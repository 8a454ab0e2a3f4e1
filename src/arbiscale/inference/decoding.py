"""A latent decoded band by band: the colours of any region at any size, as a model draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.resize import Kernel
from arbiscale.inference.features import FeatureRows, hold
from arbiscale.inference.tiles import Tiling
from arbiscale.networks.texture import Texture

KEPT_PIXELS = 1 << 22  # of an output whose drawings are kept while what is made of them varies: 96 MiB
_BAND_PIXELS = 1 << 18  # drawn at once
_BAND_LATENT_PIXELS = 1 << 16  # read at once: most where a picture is made smaller

Advance = Callable[[int], None]  # is told how many pixels were drawn


def unheard(pixels: int) -> None:
    """What is told of progress that nobody follows."""


class Head(Protocol):
    """What draws colours from features; see `LocalEnsembleHead`."""

    def rows_read(self, start: int, count: int, outputs: int, inputs: int) -> tuple[int, int]:
        """The first latent row that output rows read, and the one behind the last."""

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
        """Colours of a region, from the features of a part of the latent."""


class LatentDecoder(Protocol):
    """What a drawing needs of a model; `arbiscale.inference.model.Model` is one."""

    device: torch.device
    base_kernel: Kernel | None
    reads_picture: bool

    @property
    def head(self) -> Head:
        """What draws colours from features."""

    def computing(self) -> AbstractContextManager[None]:
        """Without gradients, in the model's precision."""

    def feature_rows(self, latent: Tensor | None, low: Tensor | None, tiling: Tiling | None) -> FeatureRows:
        """What the head reads of one latent, or of the image alone, row by row."""

    def texture(self, temperature: float | None, seed: int | tuple[int, ...]) -> Texture:
        """How a flow draws at a temperature; None = the model's own."""

    def share_of_branch(self, fidelity: float | None) -> float:
        """How much of the drawing without latent is taken; None = the model's own."""


class Decoding:
    """What a model draws of one latent, of its picture alone, or a blend of both; not clamped."""

    def __init__(
        self, model: LatentDecoder, latent: Tensor | None, low: Tensor | None, tiling: Tiling | None
    ) -> None:
        """Begin with nothing computed.

        Args:
            model: that draws.
            latent: shape (1, channels, height, width), or one a member of a self-ensemble; None = a branch
                draws without one.
            low: the picture (1, 3, height, width) in [-1, 1], where the model reads it.
            tiling: how features are cut; None = not at all.
        """
        self._model, self._latent, self._low, self._tiling = model, latent, low, tiling
        self._holding = False
        self._features: dict[bool, FeatureRows] = {}  # by whether they are the latent's
        self._drawn: dict[tuple[object, ...], Tensor] = {}  # bands of the last size, of either

    def hold(self) -> None:
        """Keep features once they are computed: parts of the picture can be drawn in any order."""
        self._holding = True

    def bands(
        self, size: Size, region: Region, texture: Texture, fidelity: float | None, *, again: bool
    ) -> Iterator[tuple[Region, Tensor]]:
        """A region from top to bottom: bands of it, and their colours (1, 3, rows, width).

        Args:
            size: (height, width) of the whole.
            region: (top, left, height, width) of the part.
            texture: that a flow draws.
            fidelity: None = the model's own.
            again: whether the whole is drawn more than once: it is kept, up to `KEPT_PIXELS`.
        """
        share = self._model.share_of_branch(fidelity)
        if share < 1 and self._latent is None:
            raise UserError(f"fidelity {share:g}: no latent was sampled; sample one, or ask for fidelity 1")
        sources = {of_latent: self._feature_rows(of_latent) for of_latent in _sources(share)}
        latent_size = next(iter(sources.values())).size
        # A part is drawn anew for each fidelity: any number of parts may be asked for.
        dialled = self._latent is not None and (fidelity is not None or len(sources) > 1)
        whole = region == (0, 0, *size) and size[0] * size[1] <= KEPT_PIXELS
        kept = whole and (dialled or again)
        top, left, height, width = region
        latents = 1 if self._latent is None else len(self._latent)
        read = _BAND_LATENT_PIXELS * size[0] // (latents * latent_size[0] * latent_size[1])
        rows = max(1, min(_BAND_PIXELS // width, read))
        for start in range(top, top + height, rows):
            band = (start, left, min(rows, top + height - start), width)
            drawn = [
                self._kept_colours(of_latent, features, size, band, texture, kept=kept)
                for of_latent, features in sources.items()
            ]
            # torch.lerp rounds the last elements of a tensor in another way than the others.
            blend = drawn[0] if len(drawn) == 1 else drawn[0] * (1 - share) + drawn[1] * share
            yield band, blend

    def _feature_rows(self, of_latent: bool) -> FeatureRows:
        """The features from their first row on; made once where any part of them may be read again."""
        if of_latent in self._features:
            return self._features[of_latent]
        latent = self._latent if of_latent else None
        features = self._model.feature_rows(latent, self._low, self._tiling)
        if self._holding:
            with self._model.computing():
                features = hold(features)
        if features.whole:
            self._features[of_latent] = features
        return features

    def _kept_colours(
        self,
        of_latent: bool,
        features: FeatureRows,
        size: Size,
        region: Region,
        texture: Texture,
        *,
        kept: bool,
    ) -> Tensor:
        """`_colours`, kept for the next fidelity where that is wanted."""
        if not kept:
            return self._colours(features, size, region, texture)
        key = (size, texture, of_latent, region)
        if any(known[:2] != key[:2] for known in self._drawn):
            self._drawn.clear()
        if key not in self._drawn:
            self._drawn[key] = self._colours(features, size, region, texture)
        return self._drawn[key]

    def _colours(self, features: FeatureRows, size: Size, region: Region, texture: Texture) -> Tensor:
        """A region of the picture, shape (1, 3, *region size), not clamped."""
        head = self._model.head
        top, bottom = head.rows_read(region[0], region[2], size[0], features.size[0])
        left, right = head.rows_read(region[1], region[3], size[1], features.size[1])
        with self._model.computing():
            part = features.part((top, left, bottom - top, right - left))
            drawn: Tensor = head(
                part, size, region, inputs=features.size, origin=(top, left), texture=texture
            )
        if drawn.isnan().any():
            raise UserError(
                "the model draws what is no number: its weights are damaged, or --precision is too coarse "
                "for it; give another --model, or --precision float32"
            )
        kernel = self._model.base_kernel
        if self._low is None or kernel is None:
            return drawn
        return drawn + resize_region(self._low, size, region, kernel)


def _sources(share: float) -> list[bool]:
    """Which drawings are needed for a share of the branch's: the latent's (True), the branch's (False)."""
    return [of_latent for of_latent, needed in ((True, share < 1), (False, share > 0)) if needed]
