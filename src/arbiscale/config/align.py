"""Section `align`: the two-stage alignment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section
from arbiscale.config.training import TrainingSettings


class AlignSamplesSettings(Section):
    """The second stage: a short sampling chain, with gradients through its last steps."""

    sampling: SamplingSettings
    gradient_steps: int = Field(ge=1)
    training: TrainingSettings

    @model_validator(mode="after")
    def _within_chain(self) -> AlignSamplesSettings:
        if self.gradient_steps > self.sampling.steps:
            raise ValueError("gradient_steps must not exceed sampling.steps")
        return self


class AlignSettings(Section):
    """The two-stage alignment: rates and weights of the losses, then each stage's training."""

    lr: float = Field(gt=0, le=1)
    decoder_lr: float = Field(ge=0, le=1)  # 0 = the implicit decoder stays frozen
    latent_weight: float = Field(ge=0)  # lambda1
    image_weight: float = Field(ge=0)  # lambda2
    image_norm: Literal["l1", "l2"]  # of the image loss (equation 8: l2)
    lpips_weight: float = Field(ge=0)  # inside the image loss
    grid_weight: float = Field(ge=0)  # inside the image loss: against a pattern at the latent grid
    nll_weight: float = Field(ge=0)  # inside the image loss: in nats a patch, where a flow draws
    weight_clamp: float = Field(gt=0)  # largest signal-to-noise weight of one sample
    decode_px: int = Field(ge=8)  # side of the region that is decoded and compared

    timesteps: TrainingSettings
    samples: AlignSamplesSettings
