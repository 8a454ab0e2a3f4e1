"""One latent, drawn at any size: by bands of rows, by regions, into a file, or as a zoom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.flatness import flat_areas
from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.picture import Picture, Pixels
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import Kernel
from arbiscale.inference.arguments import checked_region, checked_size
from arbiscale.inference.features import FeatureRows, hold
from arbiscale.inference.tiles import Tiling
from arbiscale.networks.texture import Texture

_BAND_PIXELS = 1 << 18  # drawn at once
_BAND_LATENT_PIXELS = 1 << 16  # read at once: most where a picture is made smaller
_KEPT_PIXELS = 1 << 22  # of an output whose two drawings are kept while its fidelity varies: 96 MiB


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


class Drawing:
    """A sampled latent that is drawn as often, and as large, as asked for.

    Attributes:
        latent: shape (1, channels, height, width), or one a member of a self-ensemble; None = a branch draws
            without one.
        picture: what was upscaled; None for a generated latent.
        tiling: how features are cut; None = not at all.
        seed: of the texture that a flow draws; set another one, and the same latent is drawn otherwise.
    """

    def __init__(
        self,
        model: LatentDecoder,
        latent: Tensor | None,
        picture: Picture | None,
        tiling: Tiling | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.latent = latent
        self.seed = seed
        self.picture = picture
        self._model = model
        self.tiling = tiling
        self._holding = False
        self._features: dict[bool, FeatureRows] = {}  # by whether they are the latent's
        self._drawn: dict[tuple[object, ...], Tensor] = {}  # bands of the last size, of either
        self._low = to_tensor(picture.rgb).to(model.device) if picture and model.reads_picture else None
        self._flat = None if self._low is None else flat_areas(self._low)
        self._alpha = None
        if picture is not None and picture.alpha is not None:
            self._alpha = to_tensor(picture.alpha[..., None])

    @property
    def channels(self) -> int:
        """Of what is drawn: 3, or 1 for grey, and one more with alpha."""
        return self.colours + (self._alpha is not None)

    @property
    def colours(self) -> int:
        """Channels without alpha."""
        return 1 if self.picture is not None and self.picture.grey else 3

    @property
    def bits(self) -> int:
        """Of a sample drawn: the picture's 8 or 16."""
        return 8 if self.picture is None else self.picture.bits

    def draw(self, size: Size, *, temperature: float | None = None, fidelity: float | None = None) -> Pixels:
        """The whole at (height, width) pixels, shape (*size, channels); arguments are those of `bands`.

        Raises:
            UserError: as `bands`; or a picture that memory cannot hold.
        """
        size = checked_size(size)
        needed = size[0] * size[1] * self.channels * self.bits // 8
        if needed > psutil.virtual_memory().available:
            raise UserError(
                f"{size[0]}x{size[1]} px: would take {needed / 2**30:,.0f} GiB, more than is free; draw it "
                f"by `bands`, or into a file by the command line"
            )
        drawn = np.empty((*size, self.channels), np.uint8 if self.bits == 8 else np.uint16)
        top = 0
        for rows in self.bands(size, temperature=temperature, fidelity=fidelity):
            drawn[top : top + len(rows)] = rows
            top += len(rows)
        return drawn

    def bands(
        self,
        size: Size,
        *,
        region: Region | None = None,
        bits: int | None = None,
        alpha: bool = True,
        temperature: float | None = None,
        fidelity: float | None = None,
    ) -> Iterator[Pixels]:
        """The picture at (height, width) pixels from top to bottom, a few rows at a time.

        Args:
            size: (height, width) in pixels.
            region: (top, left, height, width) of the part that is drawn; None = all.
            bits: of a sample; None = the picture's.
            alpha: keep it where there is any, rather than lay the picture on white.
            temperature: of texture, where a flow draws it; None = the model's own.
            fidelity: 1 = only what a branch draws without latent, 0 = the latent's drawing; between, a blend.
                None = the model's own.

        Yields:
            Samples, shape (rows, width, channels). Peak memory does not depend on the height.

        Raises:
            UserError: no size, or a region beyond it; a temperature where no flow draws, or a fidelity where
                there is no branch; a fidelity below 1 where no latent was sampled.
        """
        size = checked_size(size)
        part = (0, 0, *size) if region is None else checked_region(region, size)
        bits = bits or self.bits
        for band, raw in self._bands(size, part, temperature, fidelity):
            colours = (raw.mean(1, keepdim=True) if self.colours == 1 else raw).clamp(-1, 1)
            if self._alpha is None:
                yield to_array(colours, bits)
                continue
            opacity = resize_region(self._alpha, size, band).clamp(-1, 1).to(colours)
            if alpha:
                yield to_array(torch.cat([colours, opacity], dim=1), bits)
            else:
                yield to_array(1 - (1 - colours) * (opacity + 1) / 2, bits)

    def region(
        self,
        size: Size,
        region: Region,
        *,
        bits: int | None = None,
        temperature: float | None = None,
        fidelity: float | None = None,
    ) -> Pixels:
        """A part (top, left, height, width) of the picture at a size, laid on white; see `bands`."""
        parts = self.bands(
            size, region=region, bits=bits, alpha=False, temperature=temperature, fidelity=fidelity
        )
        return np.concatenate([*parts])

    def hold(self) -> None:
        """Keep features once they are computed: parts of the picture can be drawn in any order."""
        self._holding = True

    def _feature_rows(self, of_latent: bool) -> FeatureRows:
        """The features from their first row on; made once where any part of them may be read again."""
        if of_latent in self._features:
            return self._features[of_latent]
        latent = self.latent if of_latent else None
        features = self._model.feature_rows(latent, self._low, self.tiling)
        if self._holding:
            with self._model.computing():
                features = hold(features)
        if features.whole:
            self._features[of_latent] = features
        return features

    def _bands(
        self, size: Size, region: Region, temperature: float | None, fidelity: float | None
    ) -> Iterator[tuple[Region, Tensor]]:
        """A region from top to bottom: bands of it, and their colours."""
        texture, share = self._model.texture(temperature, self.seed), self._model.share_of_branch(fidelity)
        if share < 1 and self.latent is None:
            raise UserError(f"fidelity {share:g}: no latent was sampled; sample one, or ask for fidelity 1")
        sources = {of_latent: self._feature_rows(of_latent) for of_latent in _sources(share)}
        latent_size = next(iter(sources.values())).size
        # A part is drawn anew for each fidelity: any number of parts may be asked for.
        dialled = self.latent is not None and (fidelity is not None or len(sources) > 1)
        kept = dialled and region == (0, 0, *size) and size[0] * size[1] <= _KEPT_PIXELS
        top, left, height, width = region
        latents = 1 if self.latent is None else len(self.latent)
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
            yield band, self._without_grain(blend, size, band)

    def _without_grain(self, drawn: Tensor, size: Size, region: Region) -> Tensor:
        """The picture's own colour where it is flat: networks draw a grain there that is none of its."""
        if self._low is None or self._flat is None:
            return drawn
        flat = resize_region(self._flat, size, region, "bilinear")
        if not flat.any():
            return drawn
        return drawn + (resize_region(self._low, size, region) - drawn) * flat

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
