"""The first stage: encoder and implicit neural decoder (arXiv 2403.10255, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.coordinates import Region, Size, check_region, crop
from arbiscale.networks.encoder import Encoder, Posterior
from arbiscale.networks.feature_decoder import FeatureDecoder
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.heads import build_head
from arbiscale.networks.texture import Texture


class ImplicitDecoder(nn.Module):
    """Latent of any size to image of any size: feature decoder, then implicit head."""

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        self.feature_decoder = FeatureDecoder(settings)
        self.head = build_head(settings.head, self.feature_decoder.out_channels)
        self.residual = settings.residual
        if settings.residual:  # a decoder that draws nothing equals bicubic: start there
            nn.init.zeros_(self.head.output.weight)
            nn.init.zeros_(self.head.output.bias)

    def forward(
        self,
        latent: Tensor,
        size: Size,
        *,
        region: Region | None = None,
        base: Tensor | None = None,
        texture: Texture | None = None,
    ) -> Tensor:
        """Draw a latent at any size.

        Args:
            latent: shape (batch, channels, height, width), before the latent normalisation.
            size: (height, width) of the output, in pixels.
            region: (top, left, height, width) of the part wanted; None = all.
            base: for a residual decoder, the low-resolution image resized to `size` (or to the
                region's part of it), shape (batch, 3, *size).
            texture: how a flow draws; None = at temperature 0.

        Returns:
            The image, not clamped, nominally in [-1, 1], shape (batch, 3, *region size).

        Raises:
            ValueError: a region outside the output; a base missing or not asked for.
        """
        region = check_region(region, size)
        base = self._base(base, size, region)
        features = self.feature_decoder(latent)  # (batch, features, height, width)
        drawn: Tensor = self.head(features, size, region, texture=texture)  # (batch, 3, *region size)
        return drawn if base is None else drawn + base

    def learn(
        self, latent: Tensor, size: Size, region: Region, target: Tensor, base: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What trainings compare: a region, drawn at temperature 0, and the target's negative log-density.

        Args:
            latent: as in `forward`.
            size: as in `forward`.
            region: as in `forward`; its sides are multiples of the head's patches.
            target: the region of the image, shape (batch, 3, *region size).
            base: as in `forward`.

        Returns:
            The drawing, shape (batch, 3, *region size), and each sample's mean over its patches in nats,
            shape (batch,); None where no flow draws.
        """
        if not isinstance(self.head, FlowHead):
            return self(latent, size, region=region, base=base), None
        base = self._base(base, size, check_region(region, size))
        values = target if base is None else target - base
        features = self.feature_decoder(latent)
        drawn, log_likelihood = self.head.mean_and_likelihood(features, size, region, values)
        return drawn if base is None else drawn + base, -log_likelihood.flatten(1).mean(1)

    def _base(self, base: Tensor | None, size: Size, region: Region) -> Tensor | None:
        """What a region is drawn on; None where the decoder draws colours themselves."""
        if self.residual != (base is not None):
            raise ValueError(
                "a residual decoder needs `base`" if self.residual else "this decoder takes no `base`"
            )
        return crop(base, region) if base is not None and tuple(base.shape[-2:]) == tuple(size) else base


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
        """Names in the state that weights to start from may lack: latent diffusion has no implicit head."""
        return {name for name in self.state_dict() if name.startswith("decoder.head.")}

    def encode(self, image: Tensor) -> Posterior:
        """The posterior of the latent of images (batch, 3, height, width) in [-1, 1]."""
        return Posterior.from_moments(self.encoder(image), self.settings.posterior == "gaussian")

    def features(self, latent: Tensor) -> Tensor:
        """What the implicit head reads, shape (batch, features, height, width)."""
        return self.decoder.feature_decoder(latent)

    def decode(
        self,
        latent: Tensor,
        size: Size,
        *,
        region: Region | None = None,
        base: Tensor | None = None,
        texture: Texture | None = None,
    ) -> Tensor:
        """Draw a latent at any size; see `ImplicitDecoder.forward`."""
        return self.decoder(latent, size, region=region, base=base, texture=texture)
