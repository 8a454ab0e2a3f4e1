"""What a client asks for, and how much of it: a picture upscaled, or one generated, as bytes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from pydantic import Field

from arbiscale.config.sampling import Sampler
from arbiscale.config.section import Section
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.formats import Encoding
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.provenance import Input
from arbiscale.imaging.reading import claimed_pixels, read_picture
from arbiscale.inference.arguments import target_size
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
        steps: of sampling.
        items: pictures in a request.
    """

    input_px: int = 2**24
    output_px: int = 2**26
    steps: int = 250
    items: int = 16


class Request(Section):
    """How a picture is drawn; None = the model's own."""

    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    height: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=10_000)
    sampler: Sampler | None = None
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    fidelity: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)

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


def check(request: Request, limits: Limits) -> None:
    """Refuse what takes too long; raises UserError."""
    if request.steps is not None and request.steps > limits.steps:
        raise UserError(f"steps {request.steps}: at most {limits.steps} are served")


def check_output(size: Size, limits: Limits) -> None:
    """Refuse a picture of (height, width) pixels that is too large; raises UserError."""
    if size[0] * size[1] > limits.output_px:
        raise UserError(f"{size[0]}x{size[1]} px: at most {limits.output_px:,} pixels are served")


def read_input(data: bytes, limits: Limits, name: str = "picture") -> tuple[Picture, Input]:
    """An encoded picture, and what its outputs say of it.

    Raises:
        UserError: it is no picture, or too large.
    """
    if claimed_pixels(data) > limits.input_px:
        raise UserError(f"the picture: at most {limits.input_px:,} pixels are taken")
    stream = io.BytesIO(data)
    stream.name = "the picture"
    picture = read_picture(stream)
    return picture, Input(name, hashlib.sha256(data).hexdigest(), picture.size)


def upscale(model: Model, data: bytes, request: Request, limits: Limits) -> bytes:
    """An encoded picture drawn larger, as a PNG.

    Raises:
        UserError: as `read_input` and `Model.upscale`, or more is asked for than is served.
    """
    check(request, limits)
    picture, source = read_input(data, limits)
    size = target_size(picture.size, request.scale, request.size)
    check_output(size, limits)
    model.texture(request.temperature, request.seed)  # refused before the work
    latent = model.share_of_branch(request.fidelity) < 1
    drawing = model.sample(picture, seed=request.seed, latent=latent, **request.sampling)
    record = describe(
        model, source, size, Encoding(), request.sampling, seed=request.seed, tile="auto", **request.dials
    )
    return encode_drawing(drawing, size, provenance=record, **request.dials)


def generate(model: Model, seed: int, request: Request, limits: Limits) -> bytes:
    """A picture drawn from noise, as a PNG.

    Raises:
        UserError: as `Model.generate`, or more is asked for than is served.
    """
    check(request, limits)
    size = request.size
    if size is None or request.scale is not None:
        raise UserError("params: generating takes height and width, and no scale")
    check_output(size, limits)
    latent_size = model.latent_size_for(size)
    latent = model.generate_latents(1, latent_size, seed=seed, **request.sampling)
    record = describe(
        model, latent_size, size, Encoding(), request.sampling, seed=seed, temperature=request.temperature
    )
    return encode_drawing(
        Drawing(model, latent, None, seed=seed), size, temperature=request.temperature, provenance=record
    )
