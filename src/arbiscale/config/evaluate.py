"""Section `evaluate`: held-out photographs, scales and the sampler they are drawn with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section

HeightByWidth = Annotated[str, Field(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$")]  # in px, e.g. 160x224


class EvaluateSettings(Section):
    """What is measured, on what."""

    crop_px: int = Field(ge=32, le=4096)  # side of the high-resolution crops of the test photographs
    crops_per_photograph: int = Field(ge=1, le=1000)
    scales: list[Annotated[float, Field(ge=1, le=64)]] = Field(min_length=1)
    generation_sizes: list[HeightByWidth] = Field(min_length=1)
    generation_count: int = Field(ge=2, le=100_000)
    sampling: SamplingSettings  # also the registered model's default
