"""How latents are drawn: the sampler's settings, shared by alignment, evaluation and the model folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arbiscale.config.section import Section


class SamplingSettings(Section):
    """DDIM (arXiv 2010.02502): steps, spacing of the visited timesteps, and noise."""

    steps: int = Field(ge=1, le=10_000)
    spacing: Literal["leading", "trailing", "linspace"]
    eta: float = Field(ge=0, le=1)
