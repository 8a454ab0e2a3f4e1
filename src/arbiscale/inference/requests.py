"""What a client asks for, and how much of it: a picture upscaled, or one generated, as bytes."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from arbiscale.config.sampling import Sampler
from arbiscale.config.section import Section
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import Encoding
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.provenance import Input
from arbiscale.imaging.reading import claimed_pixels, read_picture
from arbiscale.inference.arguments import checked_region, target_size
from arbiscale.inference.decoding import Advance, unheard
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.model import Model
from arbiscale.inference.options import Dials, SamplerOptions
from arbiscale.inference.provenance import describe
from arbiscale.inference.writing import encode_drawing


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for.

    Attributes:
        input_px: pixels of a picture.
        output_px: pixels of what is drawn of it.
        longest_px: of a side of either: a row is held as a whole, at some KiB a pixel.
        steps: of sampling.
        items: pictures in a request.
        side_px: of a picture of which only a part is drawn.
    """

    input_px: int = 2**24
    output_px: int = 2**26
    longest_px: int = 2**18
    steps: int = 250
    items: int = 16
    side_px: int = 2**24


class Request(Section):
    """How a picture is drawn; None = the model's own."""

    scale: tuple[float, float] | None = None
    height: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=10_000)
    sampler: Sampler | None = None
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    fidelity: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)

    @field_validator("scale", mode="plain")
    @classmethod
    def _factors(cls, scale: Any) -> tuple[float, float] | None:
        """(vertical, horizontal) factors, of one number or two."""
        if scale is None:
            return None
        factors = _numbers(scale) if isinstance(scale, str) else scale
        if not isinstance(factors, tuple | list):
            factors = (factors, factors)
        if len(factors) != 2 or not all(_is_factor(factor) for factor in factors):
            raise ValueError(f"must be a factor above 0, or two such as 2.5x3.1 (got {scale!r})")
        return float(factors[0]), float(factors[1])

    @property
    def size(self) -> Size | None:
        """(height, width) in pixels, if asked for.

        Raises:
            UserError: one of them alone.
        """
        if (self.height is None) != (self.width is None):
            raise UserError("params: height and width must be given together")
        return None if self.height is None or self.width is None else (self.height, self.width)

    @property
    def sampling(self) -> SamplerOptions:
        """How latents are sampled."""
        return {"steps": self.steps, "sampler": self.sampler}

    @property
    def dials(self) -> Dials:
        """Temperature and fidelity."""
        return {"temperature": self.temperature, "fidelity": self.fidelity}


def _numbers(text: str) -> list[float]:
    """The numbers of `2.5` or `2.5x3.1`, as often as they are there; none of anything else."""
    try:
        numbers = [float(part) for part in text.split("x")]
    except ValueError:
        return []
    return numbers * 2 if len(numbers) == 1 else numbers


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def check(request: Request, limits: Limits) -> None:
    """Refuse what takes too long; raises UserError."""
    if request.steps is not None and request.steps > limits.steps:
        raise UserError(f"steps {request.steps}: at most {limits.steps} are served")


def check_output(size: Size, limits: Limits) -> None:
    """Refuse a picture of (height, width) pixels that is too large; raises UserError."""
    if size[0] * size[1] > limits.output_px:
        raise UserError(f"{size[0]}x{size[1]} px: at most {limits.output_px:,} pixels are served")
    if max(size) > limits.longest_px:
        raise UserError(f"{size[0]}x{size[1]} px: at most {limits.longest_px:,} a side are drawn")


@dataclass(frozen=True)
class Subject:
    """What is drawn: a picture, or proportions that are filled from noise.

    Attributes:
        size: (height, width) in pixels, at scale 1.
        picture: None = it is generated.
        source: what outputs say of the picture.
    """

    size: Size
    picture: Picture | None = None
    source: Input | None = None


def read_subject(data: bytes, limits: Limits, name: str = "picture") -> Subject:
    """An encoded picture.

    Raises:
        UserError: it is no picture, or too large.
    """
    if claimed_pixels(data) > limits.input_px:
        raise UserError(f"the picture: at most {limits.input_px:,} pixels are taken")
    stream = io.BytesIO(data)
    stream.name = "the picture"
    picture = read_picture(stream)
    if max(picture.size) > limits.longest_px:
        raise UserError(f"the picture: at most {limits.longest_px:,} pixels a side are taken")
    return Subject(picture.size, picture, Input(name, hashlib.sha256(data).hexdigest(), picture.size))


def planned_size(subject: Subject, request: Request, limits: Limits, region: Region | None = None) -> Size:
    """How large the whole becomes.

    Args:
        subject: what is drawn.
        request: how.
        limits: of what is served.
        region: (top, left, height, width) of the part that is drawn; None = all.

    Raises:
        UserError: no size, or more than is served.
    """
    check(request, limits)
    size = target_size(subject.size, request.scale, request.size)
    if region is None:
        check_output(size, limits)
    elif max(size) > limits.side_px:
        raise UserError(f"{size[0]}x{size[1]} px: at most {limits.side_px:,} pixels a side are served")
    else:
        check_output(checked_region(region, size)[2:], limits)
    return size


def sample(model: Model, subject: Subject, request: Request) -> Drawing:
    """The latent that is drawn; raises UserError as `Model.upscale` and `Model.generate`."""
    model.texture(request.temperature, request.seed)  # refused before the work
    share = model.share_of_branch(request.fidelity)
    if subject.picture is not None:
        return model.sample(subject.picture, seed=request.seed, latent=share < 1, **request.sampling)
    latent_size = model.latent_size_for(subject.size)
    latent = model.generate_latents(1, latent_size, seed=request.seed, **request.sampling)
    return Drawing(model, latent, None, seed=request.seed)


def encode(
    model: Model,
    drawing: Drawing,
    subject: Subject,
    request: Request,
    size: Size,
    *,
    suffix: str = ".png",
    advance: Advance = unheard,
) -> bytes:
    """What `sample` made, drawn at (height, width) pixels, as a picture file that says what drew it."""
    record = describe(
        model,
        subject.source or model.latent_size_for(subject.size),
        size,
        Encoding(),
        request.sampling,
        seed=request.seed,
        tile="auto",
        **request.dials,
    )
    return encode_drawing(drawing, size, suffix=suffix, provenance=record, advance=advance, **request.dials)


def upscale(model: Model, data: bytes, request: Request, limits: Limits, advance: Advance = unheard) -> bytes:
    """An encoded picture drawn larger, as a PNG; `advance` is told the pixels of each part.

    Raises:
        UserError: as `read_subject` and `Model.upscale`, or more is asked for than is served.
    """
    check(request, limits)
    return _draw(model, read_subject(data, limits), request, limits, advance)


def generate(model: Model, seed: int, request: Request, limits: Limits, advance: Advance = unheard) -> bytes:
    """A picture drawn from noise, as a PNG; `advance` is told the pixels of each part.

    Raises:
        UserError: as `Model.generate`, or more is asked for than is served.
    """
    if request.size is None or request.scale is not None:
        raise UserError("params: generating takes height and width, and no scale")
    return _draw(model, Subject(request.size), request.model_copy(update={"seed": seed}), limits, advance)


def _draw(model: Model, subject: Subject, request: Request, limits: Limits, advance: Advance) -> bytes:
    size = planned_size(subject, request, limits)
    return encode(model, sample(model, subject, request), subject, request, size, advance=advance)
