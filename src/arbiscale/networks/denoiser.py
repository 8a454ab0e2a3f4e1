"""The denoiser: an ADM-style U-Net on latents, the condition concatenated behind the noisy latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import arbiscale.torchvision_operators  # noqa: F401  (before diffusers)
from arbiscale.config.diffusion import DenoiserSettings

from diffusers import UNet2DModel  # isort: skip


class Denoiser(nn.Module):
    """U-Net (arXiv 2105.05233) that predicts noise, v or x0 from a noisy latent.

    Self-attention stands at the levels whose downsampling factor is listed, and in the middle where
    wanted. Without any the network is convolutional: local, and cheap on latents of any size.
    """

    def __init__(self, settings: DenoiserSettings, latent_channels: int, condition_channels: int) -> None:
        super().__init__()
        attention = [2**level in settings.attention_factors for level in range(len(settings.multipliers))]
        self.network = UNet2DModel(
            in_channels=latent_channels + condition_channels,
            out_channels=latent_channels,
            block_out_channels=tuple(settings.width * multiplier for multiplier in settings.multipliers),
            layers_per_block=settings.blocks,
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attention),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention)),
            add_attention=settings.middle_attention,
            attention_head_dim=settings.attention_width,
            norm_num_groups=settings.norm_groups,
            flip_sin_to_cos=True,
            freq_shift=0,
        )
        self.downsampling = settings.downsampling

    def forward(self, noisy_latent: Tensor, timestep: Tensor, condition: Tensor | None = None) -> Tensor:
        """Prediction of the same shape as the noisy latent.

        Args:
            noisy_latent: shape (batch, channels, height, width), normalised; height and width
                multiples of `downsampling`.
            timestep: integers, shape (batch,) or ().
            condition: the condition's latent, same spatial shape; None for generation.
        """
        if condition is not None:
            noisy_latent = torch.cat([noisy_latent, condition], dim=1)
        return self.network(noisy_latent, timestep).sample
