"""The denoiser: an ADM-style U-Net on latents, the condition concatenated behind the noisy latent."""

from __future__ import annotations

import torch
from diffusers import UNet2DModel
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D
from torch import Tensor, nn

from arbiscale.config.diffusion import DenoiserSettings
from arbiscale.networks.transformer import FeatureTransformer


class Denoiser(nn.Module):
    """U-Net (arXiv 2105.05233) that predicts noise, v or x0 from a noisy latent.

    Self-attention is at the levels whose downsampling factor is listed, and optionally in the middle, which
    a transformer may follow. Without any of these the network is convolutional: local, and cheap on latents
    of any size.

    Attributes:
        downsampling: sides of latents must be multiples of it.
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
        if settings.transformer_layers:
            transformer = FeatureTransformer(
                settings.bottleneck_width, settings.attention_width, settings.transformer_layers
            )
            self.network.mid_block = _MiddleWithTransformer(self.network.mid_block, transformer)
        self.downsampling = settings.downsampling

    @property
    def missing_allowed(self) -> set[str]:
        """Names in the state that trained weights may lack: without them, it predicts as they did."""
        return {name for name in self.state_dict() if name.startswith("network.mid_block.transformer.")}

    def forward(self, noisy_latent: Tensor, timestep: Tensor, condition: Tensor | None = None) -> Tensor:
        """Prediction of the same shape as the noisy latent.

        Args:
            noisy_latent: shape (batch, channels, height, width), normalised; height and width
                multiples of `downsampling`.
            timestep: integers, shape (batch,) or ().
            condition: the condition's latent, same spatial shape; None for generation.
        """
        if condition is not None:
            noisy_latent = torch.cat(
                [noisy_latent, condition], dim=1
            )  # (batch, both channels, height, width)
        return self.network(noisy_latent, timestep).sample


class _MiddleWithTransformer(nn.Module):
    """A U-Net's middle followed by a transformer; the middle's own weights keep their names.

    Args:
        middle: diffusers' UNetMidBlock2D, whose parts are taken over.
        transformer: of features (batch, channels, height, width).
    """

    def __init__(self, middle: UNetMidBlock2D, transformer: nn.Module) -> None:
        super().__init__()
        self.resnets: nn.ModuleList = middle.resnets
        self.attentions: nn.ModuleList = middle.attentions
        self.transformer = transformer

    def forward(self, features: Tensor, time_embedding: Tensor) -> Tensor:
        """Features (batch, channels, height, width) through the middle and the transformer."""
        before, after = self.resnets
        (attention,) = self.attentions
        features = before(features, time_embedding)
        if attention is not None:
            features = attention(features)
        return self.transformer(after(features, time_embedding))
