"""The encoder of the first stage: image -> moments of the latent."""

from __future__ import annotations

from diffusers.models.autoencoders.vae import Encoder as ResidualEncoder
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings


class Encoder(nn.Module):
    """Latent diffusion's encoder (arXiv 2112.10752) behind an optional pixel-unshuffle.

    Each level after the first halves the resolution; a 1x1 convolution gives the moments. The
    unshuffle does all its work at latent resolution, many times cheaper than convolutions at image
    resolution.
    """

    def __init__(self, settings: AutoencoderNetworkSettings) -> None:
        super().__init__()
        encoder = settings.encoder
        moments = settings.latent_channels * (2 if settings.posterior == "gaussian" else 1)
        self.unshuffle = nn.PixelUnshuffle(encoder.unshuffle) if encoder.unshuffle > 1 else nn.Identity()
        self.network = ResidualEncoder(
            in_channels=3 * encoder.unshuffle**2,
            out_channels=moments,
            down_block_types=("DownEncoderBlock2D",) * len(encoder.multipliers),
            block_out_channels=tuple(encoder.width * multiplier for multiplier in encoder.multipliers),
            layers_per_block=encoder.blocks,
            norm_num_groups=settings.norm_groups,
            double_z=False,
            mid_block_add_attention=encoder.attention,
        )
        self.to_moments = nn.Conv2d(moments, moments, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Image (batch, 3, height, width) in [-1, 1] to moments (batch, moments, height / f, width / f)."""
        return self.to_moments(self.network(self.unshuffle(image)))
