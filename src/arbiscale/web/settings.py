"""How much a server takes on, and what a query may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from arbiscale.imaging.coordinates import Region
from arbiscale.inference.requests import Limits, Request

Suffix = Literal["png", "jpg", "webp", "tif", "avif"]  # that a client may ask for
MEDIA_TYPES = dict(
    zip(get_args(Suffix), ("image/png", "image/jpeg", "image/webp", "image/tiff", "image/avif"), strict=True)
)


@dataclass(frozen=True)
class ServerLimits(Limits):
    """Of one request, and of all together.

    Attributes:
        body_bytes: of a request's body.
        body_seconds: until a body is there.
        bodies_bytes: of those that are on their way together.
        waiting: drawings that may be asked for at once.
        seconds: from a request to its answer.
        kept_px: pixels of pictures that are kept.
        kept_bytes: of images, latents and features that are held to draw them.
        threads: that compute a drawing; 0 = torch's choice.
    """

    body_bytes: int = 2**26
    body_seconds: float = 30.0
    bodies_bytes: int = 2**29
    waiting: int = 32
    seconds: float = 120.0
    kept_px: int = 2**25
    kept_bytes: int = 2**31
    threads: int = 0


class Query(Request):
    """How a picture is drawn, as a query says it: numbers are texts there.

    `scale` is a factor, or VERTICALxHORIZONTAL.
    """

    model_config = ConfigDict(strict=False)

    model: str | None = Field(default=None, max_length=200)
    format: Suffix = "png"


class View(Query):
    """A part of a picture at a size: the whole's height and width, and what of it is seen."""

    top: int = Field(ge=0)
    left: int = Field(ge=0)
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)

    @model_validator(mode="after")
    def _as_picture(self) -> View:
        if self.format in {"tif", "avif"}:
            raise ValueError("format must be png, jpg or webp")
        return self

    @property
    def region(self) -> Region:
        """(top, left, height, width)."""
        return (self.top, self.left, self.rows, self.columns)
