"""The first stage: encoder and implicit neural decoder (arXiv 2403.10255, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.coordinates import Region, Size, check_region, crop
from arbiscale.networks.encoder import Encoder, Posterior
from arbiscale.networks.feature_decoder import FeatureDecoder
from arbiscale.networks.implicit_head import ImplicitHead


class ImplicitDecoder(nn.Module):
    """Latent of any size to image of any size: feature decoder, then implicit head."""

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        self.feature_decoder = FeatureDecoder(settings)
        self.head = ImplicitHead(self.feature_decoder.out_channels, settings.head.width, settings.head.layers)
        self.residual = settings.residual
        if settings.residual:  # a decoder that draws nothing equals bicubic: start there
            nn.init.zeros_(self.head.output.weight)
            nn.init.zeros_(self.head.output.bias)

    def forward(
        self, latent: Tensor, size: Size, *, region: Region | None = None, base: Tensor | None = None
    ) -> Tensor:
        """Draw a latent at any size.

        Args:
            latent: shape (batch, channels, height, width), before the latent normalisation.
            size: (height, width) of the output, in pixels.
            region: (top, left, height, width) of the part wanted; None = all.
            base: for a residual decoder, the low-resolution image resized to `size` (or to the
                region's part of it), shape (batch, 3, *size).

        Returns:
            The image, not clamped, nominally in [-1, 1], shape (batch, 3, *region size).

        Raises:
            ValueError: a region outside the output; a base missing or not asked for.
        """
        region = check_region(region, size)
        if self.residual != (base is not None):
            raise ValueError(
                "a residual decoder needs `base`" if self.residual else "this decoder takes no `base`"
            )
        features = self.feature_decoder(latent)  # (batch, features, height, width)
        drawn = self.head(features, size, region)  # (batch, 3, *region size)
        if base is None:
            return drawn
        return drawn + (crop(base, region) if tuple(base.shape[-2:]) == tuple(size) else base)


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
        self, latent: Tensor, size: Size, *, region: Region | None = None, base: Tensor | None = None
    ) -> Tensor:
        """Draw a latent at any size; see `ImplicitDecoder.forward`."""
        return self.decoder(latent, size, region=region, base=base)
