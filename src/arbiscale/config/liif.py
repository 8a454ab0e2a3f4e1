"""What decides a LIIF; it is imported rather than trained, so `params.yaml` has no such section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.config.section import Section

LIIF_FORMAT: Literal["arbiscale-liif-1"] = "arbiscale-liif-1"  # as config.json of its folder says


class LIIFNetworkSettings(Section):
    """Everything that decides the tensors of a LIIF."""

    width: int = Field(ge=1)  # channels of the encoder and of its features
    blocks: int = Field(ge=1)  # residual blocks of the encoder
    head: HeadSettings
