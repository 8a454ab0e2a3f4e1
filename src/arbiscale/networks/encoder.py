"""The encoder of the first stage: images to the distribution of their latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.vae import Encoder as ResidualEncoder
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.draws import normal_like


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
        self.moments = moments  # channels of what it gives
        self.to_moments = nn.Conv2d(moments, moments, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Image (batch, 3, height, width) in [-1, 1] to moments (batch, moments, height / f, width / f)."""
        pixels = self.unshuffle(image)  # (batch, 3 * unshuffle**2, height / unshuffle, width / unshuffle)
        return self.to_moments(self.network(pixels))


@dataclass(frozen=True)
class Posterior:
    """The distribution of the latent given an image: a point or a diagonal Gaussian.

    Attributes:
        mean: shape (batch, channels, height, width).
        logvar: logarithm of the variance, same shape; None for a point (deterministic encoder).
    """

    mean: Tensor
    logvar: Tensor | None = None

    @staticmethod
    def from_moments(moments: Tensor, gaussian: bool) -> Posterior:
        """Split the encoder's output (batch, channels or 2 channels, height, width)."""
        if not gaussian:
            return Posterior(moments)
        mean, logvar = moments.chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-30.0, 20.0))

    def mode(self) -> Tensor:
        """The most likely latent."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw; the point itself for a deterministic encoder."""
        if self.logvar is None:
            return self.mean
        noise = normal_like(self.mean, generator)
        return self.mean + noise * torch.exp(0.5 * self.logvar)

    def kl(self) -> Tensor:
        """KL divergence to the standard normal, mean over dimensions, shape (batch,)."""
        if self.logvar is None:
            return self.mean.new_zeros(len(self.mean))
        mean, logvar = self.mean.float(), self.logvar.float()  # a loss: float32 under autocast too
        return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).flatten(1).mean(1)
