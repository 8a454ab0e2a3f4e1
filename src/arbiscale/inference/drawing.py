"""One latent, drawn at any size: by bands of rows, by regions, into a file, or as a zoom."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

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
from arbiscale.inference.arguments import checked_region, checked_size
from arbiscale.inference.back_projection import BackProjection, size_to_compare
from arbiscale.inference.decoding import KEPT_PIXELS, Advance, Decoding, LatentDecoder, unheard
from arbiscale.inference.tiles import Tiling


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
        self._low = to_tensor(picture.rgb).to(model.device) if picture and model.reads_picture else None
        self._decoding = Decoding(model, latent, self._low, tiling)
        self._back_projection: BackProjection | None = None
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
        advance: Advance = unheard,
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
            advance: told the pixels of each band that is drawn; `drawn_px` in all.

        Yields:
            Samples, shape (rows, width, channels). Peak memory does not depend on the height.

        Raises:
            UserError: no size, or a region beyond it; a temperature where no flow draws, or a fidelity where
                there is no branch; a fidelity below 1 where no latent was sampled.
        """
        size = checked_size(size)
        part = (0, 0, *size) if region is None else checked_region(region, size)
        bits = bits or self.bits
        for band, raw in self._bands(size, part, temperature, fidelity, advance):
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

    def back_project(self) -> None:
        """From now on draw what is, shrunk again, the picture; see `Model.upscale`."""
        picture = self._low
        if picture is None:
            assert self.picture is not None
            picture = to_tensor(self.picture.rgb).to(self._model.device)
        self._back_projection = BackProjection(picture, KEPT_PIXELS)

    def hold(self) -> None:
        """Keep features once they are computed: parts of the picture can be drawn in any order."""
        self._decoding.hold()

    def _bands(
        self,
        size: Size,
        region: Region,
        temperature: float | None,
        fidelity: float | None,
        advance: Advance,
    ) -> Iterator[tuple[Region, Tensor]]:
        """A region from top to bottom: bands of it, and their colours."""
        texture = self._model.texture(temperature, self.seed)
        lacking = None
        if self._back_projection and (full := self._back_projection.compared_at(size)):
            whole = self._decoding.bands(full, (0, 0, *full), texture, fidelity, again=True)
            if full != size:  # else it is kept, and told below
                whole = _told(whole, advance)
            lacking = self._back_projection.lacking(full, (texture, fidelity), whole, self._without_grain)
        again = lacking is not None
        for band, drawn in _told(self._decoding.bands(size, region, texture, fidelity, again=again), advance):
            added = drawn if lacking is None else drawn + resize_region(lacking, size, band)
            yield band, self._without_grain(added, size, band)

    def _without_grain(self, drawn: Tensor, size: Size, region: Region) -> Tensor:
        """The picture's own colour where it is flat: networks draw a grain there that is none of its."""
        if self._low is None or self._flat is None:
            return drawn
        flat = resize_region(self._flat, size, region, "bilinear")
        if not flat.any():
            return drawn
        return drawn + (resize_region(self._low, size, region) - drawn) * flat


def drawn_px(picture: Size, size: Size, *, consistent: bool) -> int:
    """How many pixels are drawn of a picture for the whole at a size, as `Drawing.bands` tells them."""
    full = size_to_compare(picture, size, KEPT_PIXELS) if consistent else None
    return math.prod(size) + (0 if full is None or full == size else math.prod(full))


def _told(bands: Iterable[tuple[Region, Tensor]], advance: Advance) -> Iterator[tuple[Region, Tensor]]:
    """The bands; the pixels of each are told."""
    for band, drawn in bands:
        advance(band[2] * band[3])
        yield band, drawn
