"""The decoder without upsampling: latent -> features at latent resolution, for the implicit head."""

from __future__ import annotations

from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, UpDecoderBlock2D
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings

_NORM_EPSILON = 1e-6


class FeatureDecoder(nn.Module):
    """Latent diffusion's decoder with every upsampling, and the output layers, left out."""

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        decoder = settings.decoder
        widths = [decoder.width * multiplier for multiplier in reversed(decoder.multipliers)]
        self.from_latent = nn.Conv2d(settings.latent_channels, settings.latent_channels, 1)
        self.stem = nn.Conv2d(settings.latent_channels, widths[0], 3, padding=1)
        self.middle = UNetMidBlock2D(
            in_channels=widths[0],
            temb_channels=None,
            resnet_eps=_NORM_EPSILON,
            resnet_groups=settings.norm_groups,
            attention_head_dim=widths[0],
            add_attention=decoder.attention,
        )
        self.levels = nn.ModuleList(
            UpDecoderBlock2D(
                in_channels=before,
                out_channels=after,
                num_layers=decoder.blocks + 1,
                resnet_eps=_NORM_EPSILON,
                resnet_groups=settings.norm_groups,
                add_upsample=False,
            )
            for before, after in zip([widths[0], *widths], widths, strict=False)
        )
        self.out_channels = widths[-1]

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (batch, channels, height, width) to features (batch, out_channels, height, width)."""
        features = self.middle(self.stem(self.from_latent(latent)))  # (batch, widths[0], height, width)
        for level in self.levels:
            features = level(features)  # (batch, width of the level, height, width)
        return features
