"""What every kind of model is and does: its properties, and how latents are made, tiled and drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Unpack

import torch
from torch import Tensor

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.orientations import UPRIGHT, Orientation
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.resize import Kernel
from arbiscale.inference.arguments import (
    checked_region,
    checked_seed,
    checked_seeds,
    checked_share,
    checked_size,
    checked_tensor,
)
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.features import FeatureRows
from arbiscale.inference.options import SamplingOptions
from arbiscale.inference.origin import Origin
from arbiscale.inference.tiles import Tiling, cut
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.local_ensemble import LocalEnsembleHead, multiplied_in
from arbiscale.networks.texture import Texture

Precision = Literal["float32", "bfloat16", "float16"]


class DrawingModel(ABC):
    """What there is to know of a trained model, and what it can be asked for: latents, and their drawings.

    What is sampled, or encoded, is a latent: a kind of model says how, and how a latent is drawn.

    Attributes:
        device: where it runs.
        precision: of matrix products and convolutions.
        task: `super_resolution`, `generation`, or `reconstruction` (an autoencoder alone).
        factor: the fixed training factor: high-resolution crop / low-resolution crop.
        downsampling: image pixels per latent pixel, along one axis.
        latent_channels: of a latent.
        base_kernel: of the low-resolution image that the difference is drawn to; None = none is.
        reads_picture: whether latents are drawn with the low-resolution image at hand.
        head: what draws colours from features.
        sampling: how latents are sampled unless told otherwise; None = they are encoded.
        timesteps: the most steps in which a latent can be sampled; 0 = none is.
        temperature: that a flow draws texture with where none is asked for.
        has_branch: whether it also draws without a latent, what the picture says for sure.
        fidelity: how much of that drawing is taken where nothing is asked for; see `Model.upscale`.
        origin: where it was loaded from; None = it was made in memory.
    """

    task: str
    factor: int
    downsampling: int
    latent_channels: int
    base_kernel: Kernel | None
    reads_picture: bool
    head: LocalEnsembleHead
    temperature: float = 0.0
    bytes_per_pixel: int = 300  # of the input, that a large picture takes; measured
    has_branch: bool = False
    fidelity: float = 0.0
    sampling: SamplingSettings | None = None
    timesteps: int = 0
    origin: Origin | None = None

    def __init__(self, device: torch.device, precision: Precision) -> None:
        self.device = device
        self.precision = precision

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Without gradients, in the precision asked for; in float32 where a CPU would have to emulate it."""
        dtype = multiplied_in(getattr(torch, self.precision), self.device)
        with torch.no_grad(), torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            yield

    @abstractmethod
    def networks(self) -> list[torch.nn.Module]:
        """The convolutional networks."""

    @abstractmethod
    def feature_rows(
        self,
        latent: Tensor | None,
        low: Tensor | None,
        tiling: Tiling | None,
        seen: Sequence[Orientation] = (UPRIGHT,),
    ) -> FeatureRows:
        """What the head reads of one latent, row by row; in tiles where the latent was made in tiles.

        Args:
            latent: shape (1, channels, height, width); None = what a branch says alone.
            low: the low-resolution image (1, 3, height, width) where `reads_picture`.
            tiling: in pixels of the plane; see `tiling`.
            seen: orientations in which networks see a latent each; latents and features are a batch, upright.
        """

    @abstractmethod
    def tiling(self, size: Size, tile: str | int) -> tuple[Size, Tiling | None]:
        """The plane that a picture of (height, width) pixels is computed on, and how it is cut."""

    def tiles(self, size: Size, tile: str | int) -> int:
        """In how many tiles a picture of (height, width) pixels is computed."""
        plane, tiling = self.tiling(size, tile)
        return 1 if tiling is None else len(cut(plane[0], tiling)) * len(cut(plane[1], tiling))

    @property
    def bytes_per_latent(self) -> int:
        """Of a further latent, for each pixel of the picture: as sampled, and beside the picture."""
        return 2 * 4 * self.latent_channels * (self.factor // self.downsampling) ** 2

    def tile_px(self, size: Size, tile: str | int) -> str | int:
        """What comes of a tile that is asked for: `none`, or its side in pixels of the picture."""
        plane, tiling = self.tiling(size, tile)
        return "none" if tiling is None else -(-tiling.tile_px // (plane[0] // size[0]))

    @abstractmethod
    def _sample(
        self, picture: Picture, tile: str | int, latent: bool, **options: Unpack[SamplingOptions]
    ) -> Drawing:
        """Make a picture's latent, where one is wanted; in tiles where `tile` asks for them."""

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """Latents of images (batch, 3, height, width) in [-1, 1]."""

    def decode(
        self,
        latent: Tensor,
        size: Size,
        *,
        region: Region | None = None,
        low_resolution: Tensor | None = None,
        temperature: float | None = None,
        fidelity: float | None = None,
        seed: int | Sequence[int] = 0,
    ) -> Tensor:
        """Images (batch, 3, *size), not clamped, drawn from latents; see `ImplicitDecoder.forward`.

        Args:
            latent: shape (batch, channels, height, width).
            size: (height, width) of the whole picture in pixels.
            region: (top, left, height, width) of the part that is drawn; None = all.
            low_resolution: the images (batch, 3, height, width) that latents were made for, where the model
                reads them beside (`reads_picture`); others ignore them.
            temperature: of texture, where a flow draws it; None = the model's own.
            fidelity: see `Model.upscale`.
            seed: of texture; see `SamplingOptions`.

        Raises:
            UserError: no size, region or latents; no images where they are read; a temperature where no
                flow draws, or a fidelity where there is no branch.
        """
        latent = checked_tensor("latents", latent, self.latent_channels).to(self.device)
        size = checked_size(size)
        region = checked_region(region, size) if region else None
        low = self._checked_low(low_resolution, latent)
        texture = self.texture(temperature, checked_seeds(seed, len(latent)))
        share = self.share_of_branch(fidelity)
        with self.computing():
            sources = ([latent] if share < 1 else []) + ([None] if share else [])
            drawn = [self._decode(source, size, region, low, texture).float() for source in sources]
            return drawn[0] if len(drawn) == 1 else drawn[0] * (1 - share) + drawn[1] * share

    @abstractmethod
    def _decode(
        self, latent: Tensor | None, size: Size, region: Region | None, low: Tensor | None, texture: Texture
    ) -> Tensor:
        """The same of checked arguments, from a latent or from the branch alone."""

    def share_of_branch(self, fidelity: float | None) -> float:
        """How much of the drawing without latent is taken; None = the model's own.

        Raises:
            UserError: no such share, or one above 0 where there is no branch.
        """
        if fidelity is None:
            return self.fidelity
        share = checked_share("fidelity", fidelity)
        if share and not self.has_branch:
            raise UserError(
                "this model has no branch that draws without a latent, so no fidelity; leave it out or give "
                "another --model"
            )
        return share

    @property
    def has_texture(self) -> bool:
        """Whether a flow draws, at a temperature."""
        return isinstance(self.head, FlowHead)

    def texture(self, temperature: float | None, seed: int | tuple[int, ...]) -> Texture:
        """How a flow draws at a temperature; None = the model's own.

        Raises:
            UserError: no temperature, or one above 0 where no flow draws; no seed.
        """
        seed = seed if isinstance(seed, tuple) else checked_seed(seed)
        if temperature is None:
            return Texture(self.temperature if self.has_texture else 0.0, seed)
        if checked_share("temperature", temperature) and not self.has_texture:
            raise UserError("this model has no flow, so no temperature; leave it out or give another --model")
        return Texture(float(temperature), seed)

    def _checked_low(self, low_resolution: Tensor | None, latent: Tensor) -> Tensor | None:
        if not self.reads_picture:
            return None
        if low_resolution is None:
            raise UserError("this model draws latents on the low-resolution images: give low_resolution=...")
        low = checked_tensor("low_resolution", low_resolution, 3).to(self.device)
        if len(low) != len(latent) or (self.has_branch and low.shape[2:] != latent.shape[2:]):
            found = " and ".join(str(tuple(each.shape)) for each in (low, latent))
            raise UserError(f"low_resolution: must be the images that the latents are of, not {found}")
        return low

    @abstractmethod
    def sample_latents(self, low_resolution: Tensor, **options: Unpack[SamplingOptions]) -> Tensor:
        """Latents of super-resolved images, for any output size.

        Args:
            low_resolution: images (batch, 3, height, width) in [-1, 1] of any size.
            options: steps, sampler, seed and eta; see `SamplingOptions`.

        Returns:
            Latents (batch, channels, height * factor / f, width * factor / f), f the downsampling.
        """

    def latent_size_for(self, size: Size) -> Size:
        """A latent size of about the training's area in the proportions of an image size."""
        raise self.refusal("generation")

    def sharing_latents(self, sizes: Sequence[Size]) -> list[list[Size]]:
        """Sizes in groups that may show the same latents: all of them, or those nearest a trained shape."""
        raise self.refusal("generation")

    def generate_latents(self, count: int, latent_size: Size, **options: Unpack[SamplingOptions]) -> Tensor:
        """Latents (count, channels, *latent_size) of generated images.

        Sizes are rounded up to what the network takes. Options: see `SamplingOptions`.
        """
        raise self.refusal("generation")

    def refusal(self, task: str) -> UserError:
        """The error for a task that the model was not made for."""
        return UserError(f"this model was made for {self.task}, not for {task}; give another --model")
