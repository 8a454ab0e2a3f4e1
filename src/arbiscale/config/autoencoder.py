"""Section `autoencoder`: the first stage (encoder + implicit neural decoder) and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from arbiscale.config.section import Section
from arbiscale.config.training import TrainingSettings


class EncoderSettings(Section):
    """Residual levels, each after the first halving the resolution, behind an optional pixel-unshuffle."""

    unshuffle: int = Field(ge=1, le=16)  # space-to-depth factor before the first convolution; 1 = none
    width: int = Field(ge=4)
    multipliers: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    blocks: int = Field(ge=1)
    attention: bool  # self-attention in the middle

    @property
    def downsampling(self) -> int:
        """Image pixels per latent pixel, along one axis."""
        return int(self.unshuffle * 2 ** (len(self.multipliers) - 1))


class FeatureDecoderSettings(Section):
    """Residual levels at latent resolution (no upsampling), widest first."""

    width: int = Field(ge=4)
    multipliers: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    blocks: int = Field(ge=1)
    attention: bool


class HeadSettings(Section):
    """What draws colours from the features of neighbouring latent pixels."""

    kind: Literal["liif", "fourier", "flow"] = "liif"
    width: int = Field(ge=4)
    layers: int = Field(ge=1)  # hidden layers
    frequencies: int = Field(default=32, ge=1)  # of a latent pixel: fourier, flow
    flow_layers: int = Field(default=10, ge=1)
    patch_px: int = Field(default=1, ge=1, le=7)  # side of what the flow draws at once
    blend_patches: bool = True  # no grid of patches; published: false

    @model_validator(mode="after")
    def _patch_has_a_centre(self) -> HeadSettings:
        if self.patch_px % 2 == 0:
            raise ValueError(
                f"patch_px: must be odd, as patches have a pixel in the middle (got {self.patch_px})"
            )
        return self


class BranchSettings(Section):
    """A residual trunk on the low-resolution picture, whose features the head reads beside the latent's."""

    width: int = Field(default=48, ge=4)
    blocks: int = Field(default=0, ge=0)  # residual; 0 = no branch, as published


class AutoencoderNetworkSettings(Section):
    """Everything that decides the autoencoder's tensors and mathematics."""

    latent_channels: int = Field(ge=1)
    posterior: Literal["deterministic", "gaussian"]
    residual: bool  # draw the difference to the bicubic low-resolution image
    norm_groups: int = Field(ge=1)
    encoder: EncoderSettings
    decoder: FeatureDecoderSettings
    branch: BranchSettings = BranchSettings()
    head: HeadSettings

    @property
    def reads_picture(self) -> bool:
        """Whether the decoder draws a latent with the low-resolution picture at hand."""
        return self.residual or self.branch.blocks > 0

    @property
    def condition_channels(self) -> int:
        """Of super-resolution's condition: a latent, and behind it the branch's features."""
        return self.latent_channels + (self.branch.width if self.branch.blocks else 0)

    @model_validator(mode="after")
    def _groups(self) -> AutoencoderNetworkSettings:
        for name in ("encoder", "decoder"):
            part = getattr(self, name)
            for multiplier in part.multipliers:
                if (part.width * multiplier) % self.norm_groups:
                    raise ValueError(
                        f"{name}: width x multiplier ({part.width} x {multiplier}) must be a "
                        f"multiple of norm_groups ({self.norm_groups})"
                    )
        return self


class AutoencoderSettings(Section):
    """The first stage and its training."""

    init_from: str  # a model folder to start from; empty = from random weights
    network: AutoencoderNetworkSettings
    target_px: list[int] = Field(min_length=2, max_length=2)  # decoded sizes: one a batch, uniform
    decode_px: int = Field(ge=8)  # side of the region of it that is decoded and compared
    latent_dropout: float = Field(ge=0, le=1)  # share of steps that draw from the branch alone
    lr: float = Field(gt=0, le=1)
    kl_weight: float = Field(ge=0)
    nll_weight: float = Field(ge=0)  # of the flow's negative log-likelihood, in nats a patch: head.kind flow
    lpips_weight: float = Field(ge=0)
    grid_weight: float = Field(ge=0)  # against a pattern at the latent grid
    training: TrainingSettings

    @model_validator(mode="after")
    def _consistent(self) -> AutoencoderSettings:
        low, high = self.target_px
        if not 8 <= low <= high:
            raise ValueError(f"target_px must be [low, high] with 8 <= low <= high (got {[low, high]})")
        if self.kl_weight and self.network.posterior != "gaussian":
            raise ValueError("kl_weight needs network.posterior: gaussian (or set kl_weight to 0)")
        if self.latent_dropout and not self.network.branch.blocks:
            raise ValueError(
                "latent_dropout needs network.branch.blocks above 0 (or set latent_dropout to 0)"
            )
        return self
