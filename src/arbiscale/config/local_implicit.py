"""Networks that draw a picture's own features: LIIF, LINF and what lies between them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.config.section import Section


class ImageEncoderSettings(Section):
    """A network without upsampling that gives every pixel features."""

    kind: Literal["edsr", "rrdb"]
    width: int = Field(ge=1)  # channels of the features
    blocks: int = Field(ge=1)
    growth: int = Field(default=32, ge=1)  # channels that each layer of a dense block adds: rrdb


class LocalImplicitSettings(Section):
    """Everything that decides the tensors and mathematics of an encoder under a head."""

    encoder: ImageEncoderSettings
    head: HeadSettings
    residual: bool  # draw the difference to the bilinear low-resolution image
    largest_scale: float | None = Field(
        default=None, ge=1
    )  # beyond it, the head is told this one; null = off
