"""The sampler's settings, shared by alignment, evaluation and the model folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from arbiscale.config.section import Section, validate

Sampler = Literal["ddim", "ddpm", "dpm_solver", "unipc", "euler"]


class SamplingSettings(Section):
    """The sampler, its steps, the spacing of the visited timesteps, and DDIM's noise.

    Samplers are described in arbiscale.diffusion.solvers. Files written
    when DDIM was the only one name none.
    """

    sampler: Sampler = "ddim"
    steps: int = Field(ge=1, le=10_000)
    spacing: Literal["leading", "trailing", "linspace"]
    eta: float = Field(ge=0, le=1)  # noise that ddim adds; 1 = as much as ddpm

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> SamplingSettings:
        if self.eta and self.sampler != "ddim":
            raise ValueError(f"eta must be 0 with sampler: {self.sampler} (only ddim takes it)")
        return self

    def but(
        self, *, sampler: Sampler | None = None, steps: int | None = None, eta: float | None = None
    ) -> SamplingSettings:
        """These settings with some replaced; another sampler starts from eta 0 unless eta is given.

        Raises:
            UserError: values that are not allowed.
        """
        changes: dict[str, object] = {"steps": steps, "eta": eta}
        if sampler is not None and sampler != self.sampler:
            changes |= {"sampler": sampler, "eta": eta or 0.0}
        given = {name: value for name, value in changes.items() if value is not None}
        return validate(SamplingSettings, self.model_dump() | given, "sampling")
