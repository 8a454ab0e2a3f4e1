"""Section `register`: the name in MLflow's model registry, and what a new champion must show."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from arbiscale.config.evaluate import ProtocolName
from arbiscale.config.named import by_name
from arbiscale.config.section import Section

METRICS = (
    "psnr",
    "ssim",
    "lpips",
    "lpips_vgg",
    "dists",
    "consistency",
    "self_ssim",
    "grid_energy",
    "colour_shift",
)
Bound = Annotated[
    str,
    Field(
        pattern=rf"^({'|'.join(METRICS)})=\d+(\.\d+)?$",
        description=f"METRIC=BOUND, such as psnr=0.1; metrics: {', '.join(METRICS)}",
    ),
]


class GateSettings(Section):
    """What `arbiscale promote` asks of a new champion, on the same pictures as the present one's.

    The whole 95 % interval of the paired difference must lie on the right side.
    """

    protocols: list[ProtocolName] = Field(min_length=1)  # whose pictures count
    gain: list[Bound] = Field(min_length=1)  # at least one metric is better by more than so much
    regression: list[Bound]  # none is worse by as much
    against: str = Field(default="bicubic", min_length=1)  # what a first champion must beat: a row beside it
    first_regression: list[Bound] = Field(default_factory=list)  # bounds that hold instead against that row

    @property
    def of_first(self) -> GateSettings:
        """The gate of a first champion."""
        bounds = by_name(self.regression) | by_name(self.first_regression)
        return self.model_copy(
            update={"regression": [f"{metric}={bound}" for metric, bound in bounds.items()]}
        )

    @model_validator(mode="after")
    def _once(self) -> GateSettings:
        for key in ("gain", "regression", "first_regression"):
            names = [entry.partition("=")[0] for entry in getattr(self, key)]
            if len({*names}) < len(names):
                raise ValueError(f"{key} must name each metric once")
        return self


class RegisterSettings(Section):
    """The name of the registered model, and the gate of its alias `champion`."""

    model_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$",
        description="at most 100 letters, digits, '_', '.' and '-', the first a letter or digit",
    )
    gate: GateSettings
