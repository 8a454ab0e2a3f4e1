"""Section `baselines`: LIIF and LINF, trained on the same crops to be compared with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.section import Section
from arbiscale.config.training import TrainingSettings

ALEXNET_PX = 32  # the smallest image that AlexNet takes
BaselineName = Literal["liif", "linf"]


class LocalImplicitTrainingSettings(Section):
    """What LIIF and LINF have in common: the network, how a crop becomes a pair of images, and the training.

    Each batch has one scale: `input_px` times it is the side of a square cut from the training crop, and
    shrinking that to `input_px` gives the low-resolution image.
    """

    network: LocalImplicitSettings
    input_px: int = Field(ge=8, le=4096)  # side of the low-resolution image
    scales: list[Annotated[float, Field(ge=1, le=64)]] = Field(min_length=2, max_length=2)  # uniform
    decode_px: int = Field(ge=8)  # side of the region that is drawn and compared
    lr: float = Field(gt=0, le=1)
    training: TrainingSettings

    @model_validator(mode="after")
    def _ordered(self) -> LocalImplicitTrainingSettings:
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales must be [low, high] with low <= high (got {self.scales})")
        return self


class LIIFSettings(LocalImplicitTrainingSettings):
    """LIIF (arXiv 2012.09161) and its training: L1."""

    @model_validator(mode="after")
    def _regresses(self) -> LIIFSettings:
        if self.network.head.kind == "flow":
            raise ValueError("network.head.kind: flow is LINF's; take liif or fourier")
        return self


class FineTuningSettings(Section):
    """LINF's second stage: on every batch a step on the likelihood, then one on drawings."""

    steps: int = Field(ge=0)  # optimizer steps, two a batch; 0 = no second stage
    lr: float = Field(gt=0, le=1)
    nll_weight: float = Field(ge=0)
    l1_weight: float = Field(ge=0)  # of the drawing at temperature 0
    perceptual_weight: float = Field(ge=0)  # of LPIPS (VGG16, or AlexNet where that is missing)
    perceptual_temperature: float = Field(ge=0, le=1)


class LINFSettings(LocalImplicitTrainingSettings):
    """LINF (arXiv 2303.05156) and its training: `training` is the first stage, on the likelihood alone."""

    fine_tuning: FineTuningSettings

    @model_validator(mode="after")
    def _flows(self) -> LINFSettings:
        if self.network.head.kind != "flow":
            raise ValueError(f"network.head.kind must be flow (got {self.network.head.kind})")
        if self.fine_tuning.steps % 2:
            raise ValueError(f"fine_tuning.steps must be even, two a batch (got {self.fine_tuning.steps})")
        smallest = min(self.decode_px, round(self.input_px * self.scales[0]))
        if self.fine_tuning.perceptual_weight and smallest < ALEXNET_PX:
            raise ValueError(
                f"fine_tuning.perceptual_weight needs drawings of at least {ALEXNET_PX} px (decode_px, "
                f"and input_px times the smaller of scales; got {smallest})"
            )
        return self


class BaselinesSettings(Section):
    """Which of them are trained, and how."""

    train: list[BaselineName]
    liif: LIIFSettings
    linf: LINFSettings

    @model_validator(mode="after")
    def _named_once(self) -> BaselinesSettings:
        if len(set(self.train)) < len(self.train):
            raise ValueError(f"train: one is named twice (got {self.train})")
        return self
