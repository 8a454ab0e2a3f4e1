"""Section `diffusion`: the latent diffusion model and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from arbiscale.config.section import Section
from arbiscale.config.training import TrainingSettings


class DenoiserSettings(Section):
    """The U-Net (ADM style): residual levels, self-attention at the listed factors and in the middle."""

    width: int = Field(ge=4)
    multipliers: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    blocks: int = Field(ge=1)
    attention_factors: list[int]
    middle_attention: bool  # also in the middle, at the coarsest resolution
    attention_width: int = Field(ge=1)  # channels of one attention head
    norm_groups: int = Field(ge=1)
    transformer_layers: int = Field(default=0, ge=0, le=100)  # behind the middle

    @property
    def bottleneck_width(self) -> int:
        """Channels at the coarsest level."""
        return self.width * self.multipliers[-1]

    @property
    def downsampling(self) -> int:
        """Latent pixels per pixel of the coarsest level, along one axis."""
        return int(2 ** (len(self.multipliers) - 1))

    @model_validator(mode="after")
    def _levels(self) -> DenoiserSettings:
        factors = [2**level for level in range(len(self.multipliers))]
        for factor in self.attention_factors:
            if factor not in factors:
                raise ValueError(
                    f"attention_factors: {factor} matches no level; the levels' factors are {factors}"
                )
        for multiplier in self.multipliers:
            if (self.width * multiplier) % self.norm_groups:
                raise ValueError(
                    f"width x multiplier ({self.width} x {multiplier}) must be a multiple of "
                    f"norm_groups ({self.norm_groups})"
                )
        if self.transformer_layers and (
            self.attention_width % 4 or self.bottleneck_width % self.attention_width
        ):
            raise ValueError(
                "attention_width must be a multiple of 4 and divide the coarsest level's width with "
                f"transformer_layers ({self.attention_width}, {self.bottleneck_width})"
            )
        return self


class ProcessSettings(Section):
    """The forward process.

    `diffusion`: from noise, with `scaled_linear` betas (linear in their square root). `flow`: straight from
    the condition's latent, with noise of deviation `start_noise`; it has no betas.
    """

    kind: Literal["diffusion", "flow"] = "diffusion"
    start_noise: float = Field(default=0.1, ge=0, le=1)
    timesteps: int = Field(ge=2, le=10_000)
    beta_start: float = Field(gt=0, lt=1)
    beta_end: float = Field(gt=0, lt=1)
    zero_terminal_snr: bool
    prediction: Literal["epsilon", "v", "x0"]

    @model_validator(mode="after")
    def _possible(self) -> ProcessSettings:
        if self.kind == "flow" and self.prediction != "v":
            raise ValueError(f"kind: flow needs prediction: v, the velocity (got {self.prediction})")
        if self.beta_end < self.beta_start:
            raise ValueError("beta_end must not be below beta_start")
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError("zero_terminal_snr needs prediction: v or x0 (epsilon says nothing at SNR 0)")
        return self


class DiffusionSettings(Section):
    """The latent diffusion model and its training."""

    init_from: str  # a model folder whose denoiser to start from; empty = from random weights
    task: Literal["super_resolution", "generation"]
    condition_upsampling: Literal["nearest", "bilinear", "bicubic"]
    latent_normalization: Literal["scalar", "per_channel"]
    process: ProcessSettings
    denoiser: DenoiserSettings
    cache_latents: int = Field(default=0, ge=0)  # views of each crop that are encoded once; 0 = in every step
    lr: float = Field(gt=0, le=1)
    training: TrainingSettings
