"""Section `register`: the name in MLflow's model registry."""

from __future__ import annotations

from pydantic import Field

from arbiscale.config.section import Section


class RegisterSettings(Section):
    """Where the packed model goes."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$")
