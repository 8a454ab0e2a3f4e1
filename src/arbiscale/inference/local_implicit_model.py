"""The façade of a LIIF or a LINF: what `load_model` returns for its folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.imaging.orientations import UPRIGHT, Orientation
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.resize import resize
from arbiscale.inference.arguments import checked_seeds, checked_tensor
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.drawing_model import Precision
from arbiscale.inference.features import FeatureRows
from arbiscale.inference.memory import bytes_per_encoded_pixel, fit_tiling
from arbiscale.inference.model import Model
from arbiscale.inference.options import SamplingOptions
from arbiscale.inference.tiles import Tiling, blend
from arbiscale.models.folder import LocalImplicitConfig
from arbiscale.models.local_implicit import BASE_KERNEL, NEIGHBOURHOOD_PX, LocalImplicit, unfold_rows
from arbiscale.networks.texture import Texture


class LocalImplicitModel(Model):
    """A LIIF or a LINF, ready to upscale; its latents are the features of the low-resolution image.

    Nothing is sampled but texture, at a temperature, by a LINF. The options of diffusion are refused.

    Attributes:
        network: what encodes and draws.
    """

    task = "super_resolution"
    factor = downsampling = 1  # the low-resolution image is encoded as it is

    def __init__(
        self,
        config: LocalImplicitConfig,
        network: LocalImplicit,
        device: torch.device,
        precision: Precision,
    ) -> None:
        super().__init__(device, precision)
        self.network = network
        self.head = network.head
        self.latent_channels = config.network.encoder.width
        self.base_kernel = BASE_KERNEL if config.network.residual else None
        self.reads_picture = config.network.residual
        self.temperature = config.temperature

    def networks(self) -> list[torch.nn.Module]:
        """The convolutional network: the encoder."""
        return [self.network.encoder]

    def feature_rows(
        self,
        latent: Tensor | None,
        low: Tensor | None,
        tiling: Tiling | None,
        seen: Sequence[Orientation] = (UPRIGHT,),
    ) -> FeatureRows:
        """What the head reads of one encoded picture, row by row."""
        assert latent is not None
        return UnfoldedRows(latent, seen)

    def tiling(self, size: Size, tile: str | int) -> tuple[Size, Tiling | None]:
        """See `Model.tiling`; the plane is the picture."""
        needed = bytes_per_encoded_pixel(self.network.settings.encoder)
        return size, fit_tiling(self.device, size, tile, needed)

    def _sample(
        self, picture: Picture, tile: str | int, latent: bool, **options: Unpack[SamplingOptions]
    ) -> Drawing:
        _refuse_sampling(options)
        with self.computing():
            low_resolution = to_tensor(picture.rgb).to(self.device)
            _, tiling = self.tiling(picture.size, tile)
            features = encode_picture(self.network, low_resolution, tiling).float()
        (seed,) = checked_seeds(options.get("seed", 0), 1)
        return Drawing(self, features, picture, seed=seed)

    def encode(self, image: Tensor) -> Tensor:
        """Features of images (batch, 3, height, width) in [-1, 1], of the images' size.

        Raises:
            UserError: other shapes.
        """
        image = checked_tensor("images", image, 3)
        with self.computing():
            return self.network.encode(image.to(self.device)).float()

    def _decode(
        self, latent: Tensor | None, size: Size, region: Region | None, low: Tensor | None, texture: Texture
    ) -> Tensor:
        assert latent is not None
        base = None
        if low is not None:
            base = crop(resize(low, size, BASE_KERNEL), region or (0, 0, *size))
        return self.network.decode(latent, size, region=region, base=base, texture=texture)

    def sample_latents(self, low_resolution: Tensor, **options: Unpack[SamplingOptions]) -> Tensor:
        """Features of images (batch, 3, height, width) in [-1, 1].

        Raises:
            UserError: other shapes, or options of sampling other than a seed.
        """
        _refuse_sampling(options)
        return self.encode(low_resolution)


def _refuse_sampling(options: SamplingOptions) -> None:
    if any(value is not None for name, value in options.items() if name != "seed"):
        raise UserError("this model samples no latent; leave steps, sampler and eta out")


class UnfoldedRows:
    """Encoded features as the head reads them, unfolded as they are asked for: `FeatureRows`."""

    whole = True

    def __init__(self, features: Tensor, seen: Sequence[Orientation] = (UPRIGHT,)) -> None:
        """Of a batch, upright; each is `seen` in its own orientation."""
        self.size: Size = (features.shape[2], features.shape[3])
        self._features, self._seen = features, seen

    def part(self, region: Region) -> Tensor:
        """Features (batch, 9 * channels, height, width) of a region."""
        top, left, height, width = region
        unfolded = unfold_rows(self._features, top, top + height)[..., left : left + width]
        if tuple(self._seen) == (UPRIGHT,):
            return unfolded
        around = unfolded.unflatten(1, (-1, NEIGHBOURHOOD_PX, NEIGHBOURHOOD_PX)).movedim((2, 3), (-2, -1))
        laid = zip(self._seen, around.split(1), strict=True)  # a neighbourhood is turned as the picture is
        turned = torch.cat([each.turn(neighbours) for each, neighbours in laid])
        return turned.movedim((-2, -1), (2, 3)).flatten(1, 3)


def encode_picture(network: LocalImplicit, low_resolution: Tensor, tiling: Tiling | None) -> Tensor:
    """Features of an image (1, 3, height, width) in [-1, 1] of any size.

    Args:
        network: whose encoder it is.
        low_resolution: the image.
        tiling: how it is cut; None = not at all.
    """
    size = (low_resolution.shape[2], low_resolution.shape[3])
    if tiling is None:
        return network.encode(low_resolution)

    def encode(region: Region) -> Tensor:
        return network.encode(crop(low_resolution, region).contiguous()).float()

    return blend(size, tiling, encode)
