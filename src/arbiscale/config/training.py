"""The settings every training stage shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arbiscale.config.section import Section


class TrainingSettings(Section):
    """An optimization of `steps` optimizer steps (AdamW, warm-up, then the schedule of the learning rate)."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    schedule: Literal["constant", "cosine", "halved"]  # halved: at 20, 40, 60 and 80 % of the steps
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0, le=1)
    gradient_clip: float = Field(ge=0)  # largest global gradient norm; 0 = off
    ema_decay: float = Field(ge=0, lt=1)  # 0 = off
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    skipped_steps_limit: int = Field(ge=0)  # in a row, of steps whose loss or gradient is not finite
