"""The façade of a LIIF: what `load_model` returns for its folder."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_tensor
from arbiscale.inference.arguments import checked_region, checked_size, checked_tensor
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.features import FeatureRows
from arbiscale.inference.memory import fit_tiling
from arbiscale.inference.model import Model, Precision, SamplingOptions
from arbiscale.inference.tiles import Tiling, blend
from arbiscale.models.liif import LIIF, unfold_rows


class LIIFModel(Model):
    """A LIIF, ready to upscale; its latents are the features of the low-resolution image.

    Nothing is sampled, so seeds change nothing and the options of sampling are refused.

    Attributes:
        liif: the network.
    """

    task = "super_resolution"
    factor = downsampling = 1  # the low-resolution image is encoded as it is
    residual = False

    def __init__(self, liif: LIIF, device: torch.device, precision: Precision) -> None:
        super().__init__(device, precision)
        self.liif = liif
        self.head = liif.head

    def networks(self) -> list[torch.nn.Module]:
        """The convolutional network: the encoder."""
        return [self.liif.encoder]

    def feature_rows(self, latent: Tensor, tiling: Tiling | None) -> FeatureRows:
        """What the head reads of one encoded picture, row by row."""
        return UnfoldedRows(latent)

    def _sample(self, picture: Picture, tile: str | int, **options: Unpack[SamplingOptions]) -> Drawing:
        _refuse_sampling(options)
        with self.computing():
            low_resolution = to_tensor(picture.colour).to(self.device)
            features = encode_picture(self.liif, low_resolution, tile).float()
        return Drawing(self, features, picture)

    def encode(self, image: Tensor) -> Tensor:
        """Features of images (batch, 3, height, width) in [-1, 1], of the images' size.

        Raises:
            UserError: other shapes.
        """
        image = checked_tensor("images", image, 3)
        with self.computing():
            return self.liif.encode(image.to(self.device)).float()

    def decode(
        self, latent: Tensor, size: Size, *, region: Region | None = None, base: Tensor | None = None
    ) -> Tensor:
        """Images (batch, 3, *size), not clamped, drawn from features; see `LIIF.decode`.

        Raises:
            UserError: no size, region or features, or a base.
        """
        latent = checked_tensor("features", latent, self.liif.settings.width)
        size = checked_size(size)
        region = checked_region(region, size) if region else None
        if base is not None:
            raise UserError("a LIIF draws on no low-resolution picture; leave base out")
        with self.computing():
            return self.liif.decode(latent.to(self.device), size, region=region).float()

    def sample_latents(self, low_resolution: Tensor, **options: Unpack[SamplingOptions]) -> Tensor:
        """Features of images (batch, 3, height, width) in [-1, 1].

        Raises:
            UserError: options of sampling other than a seed.
        """
        _refuse_sampling(options)
        return self.encode(low_resolution)


def _refuse_sampling(options: SamplingOptions) -> None:
    if any(value is not None for name, value in options.items() if name != "seed"):
        raise UserError("this model is a LIIF, which samples nothing; leave steps, sampler and eta out")


_COPIES = 5  # of the features that live at once in a residual block, with a convolution's own memory


class UnfoldedRows:
    """Encoded features as the head reads them, unfolded as they are asked for: `FeatureRows`."""

    whole = True

    def __init__(self, features: Tensor) -> None:
        self.size: Size = (features.shape[2], features.shape[3])
        self._features = features

    def rows(self, start: int, stop: int) -> Tensor:
        """Features (1, 9 * channels, stop - start, width) of some rows."""
        return unfold_rows(self._features, start, stop)


def encode_picture(liif: LIIF, low_resolution: Tensor, tile: str | int) -> Tensor:
    """Features of an image (1, 3, height, width) in [-1, 1] of any size.

    Args:
        liif: whose encoder it is.
        low_resolution: the image.
        tile: `auto`, `none` or the side of a tile in pixels; see `choose_tiling`.

    Raises:
        UserError: a tile too small for its overlap, or another word.
    """
    size = (low_resolution.shape[2], low_resolution.shape[3])
    tiling = fit_tiling(low_resolution.device, size, tile, 4 * _COPIES * liif.settings.width)
    if tiling is None:
        return liif.encode(low_resolution)

    def encode(region: Region) -> Tensor:
        return liif.encode(crop(low_resolution, region).contiguous()).float()

    return blend(size, tiling, encode)
