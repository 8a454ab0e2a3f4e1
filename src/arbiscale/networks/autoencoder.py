"""The first stage: encoder and implicit neural decoder (arXiv 2403.10255, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.coordinates import Region, Size, check_region, crop
from arbiscale.imaging.resize import base_image
from arbiscale.networks.encoder import Encoder, Posterior
from arbiscale.networks.feature_decoder import FeatureDecoder
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.heads import build_head
from arbiscale.networks.image_encoder import build_branch
from arbiscale.networks.texture import Texture


class ImplicitDecoder(nn.Module):
    """Latent of any size to image of any size: feature decoder, then implicit head.

    With a branch, the head reads features of the low-resolution image beside those of the latent, so that
    it can also draw without a latent, as LIIF does: what the image says for sure (arXiv 2410.22830).
    """

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        self.feature_decoder = FeatureDecoder(settings)
        self.branch = build_branch(settings.branch)
        channels = self.feature_decoder.out_channels + (settings.branch.width if self.branch else 0)
        self.head = build_head(settings.head, channels)
        self.residual, self.reads_picture = settings.residual, settings.reads_picture
        if settings.residual:  # a decoder that draws nothing equals bicubic: start there
            nn.init.zeros_(self.head.output.weight)
            nn.init.zeros_(self.head.output.bias)

    def forward(
        self,
        latent: Tensor | None,
        size: Size,
        *,
        region: Region | None = None,
        low: Tensor | None = None,
        texture: Texture | None = None,
    ) -> Tensor:
        """Draw a latent at any size.

        Args:
            latent: shape (batch, channels, height, width), before the latent normalisation; None = without
                one, where there is a branch.
            size: (height, width) of the output, in pixels.
            region: (top, left, height, width) of the part wanted; None = all.
            low: the low-resolution image (batch, 3, height, width) in [-1, 1], where the decoder reads it:
                a branch reads its features, a residual decoder draws on it. A branch needs it of the
                latent's size.
            texture: how a flow draws; None = at temperature 0.

        Returns:
            The image, not clamped, nominally in [-1, 1], shape (batch, 3, *region size).

        Raises:
            ValueError: a region outside the output; an image missing or not asked for; no latent where
                there is no branch.
        """
        region = check_region(region, size)
        features = self.features(latent, low)
        base = self._base(low, size, region)
        drawn: Tensor = self.head(features, size, region, texture=texture)  # (batch, 3, *region size)
        return drawn if base is None else drawn + base

    def features(self, latent: Tensor | None, low: Tensor | None) -> Tensor:
        """What the head reads: features of the latent, and behind them those of the image.

        Args:
            latent: as in `forward`.
            low: as in `forward`.

        Returns:
            Shape (batch, features, height, width); those of a latent that is missing are 0.
        """
        if self.reads_picture != (low is not None):
            raise ValueError(
                "this decoder needs the low-resolution image"
                if self.reads_picture
                else "there is no use for `low`"
            )
        if self.branch is None or low is None:
            if latent is None:
                raise ValueError("without a branch, nothing can be drawn without a latent")
            decoded: Tensor = self.feature_decoder(latent)
            return decoded
        seen = self.branch(low)  # (batch, width, height, width_px)
        if latent is None:
            unread = seen.new_zeros(len(seen), self.feature_decoder.out_channels, *seen.shape[2:])
            return torch.cat([unread, seen], dim=1)
        read = self.feature_decoder(latent)
        return torch.cat([read, seen.to(read)], dim=1)

    def learn(
        self,
        latent: Tensor | None,
        size: Size,
        region: Region,
        target: Tensor,
        low: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """What trainings compare: a region, drawn at temperature 0, and the target's negative log-density.

        Args:
            latent: as in `forward`.
            size: as in `forward`.
            region: as in `forward`; its sides are multiples of the head's patches.
            target: the region of the image, shape (batch, 3, *region size).
            low: as in `forward`.

        Returns:
            The drawing, shape (batch, 3, *region size), and each sample's mean over its patches in nats,
            shape (batch,); None where no flow draws.
        """
        features = self.features(latent, low)
        base = self._base(low, size, check_region(region, size))
        if not isinstance(self.head, FlowHead):
            drawn = self.head(features, size, region)
            return drawn if base is None else drawn + base, None
        values = target if base is None else target - base
        drawn, log_likelihood = self.head.mean_and_likelihood(features, size, region, values)
        return drawn if base is None else drawn + base, -log_likelihood.flatten(1).mean(1)

    def _base(self, low: Tensor | None, size: Size, region: Region) -> Tensor | None:
        """What a region is drawn on; None where the decoder draws colours themselves."""
        return crop(base_image(low, size), region) if self.residual and low is not None else None


class Autoencoder(nn.Module):
    """Images to latents and latents to images of any size."""

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(settings)
        self.decoder = ImplicitDecoder(settings)
        self.downsampling = settings.encoder.downsampling

    @property
    def missing_allowed(self) -> set[str]:
        """Names in the state that weights to start from may lack.

        Latent diffusion has no implicit head; a shallower branch lacks the blocks behind its own.
        """
        optional = ("decoder.head.", "decoder.branch.blocks.")
        return {name for name in self.state_dict() if name.startswith(optional)}

    def encode(self, image: Tensor) -> Posterior:
        """The posterior of the latent of images (batch, 3, height, width) in [-1, 1]."""
        return self.posterior(self.encoder(image))

    def posterior(self, moments: Tensor) -> Posterior:
        """The distribution that the encoder's output stands for."""
        return Posterior.from_moments(moments, self.settings.posterior == "gaussian")

    def decode(
        self,
        latent: Tensor | None,
        size: Size,
        *,
        region: Region | None = None,
        low: Tensor | None = None,
        texture: Texture | None = None,
    ) -> Tensor:
        """Draw a latent at any size; see `ImplicitDecoder.forward`."""
        return self.decoder(latent, size, region=region, low=low, texture=texture)
