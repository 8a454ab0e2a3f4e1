"""Section `data.realistic`: what befalls low-resolution pictures beside being small, and how much of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from arbiscale.config.section import Section

Probability = Annotated[float, Field(ge=0, le=1)]


def _ordered(bounds: list[float]) -> list[float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"must be [low, high] with low <= high (got {bounds})")
    return bounds


_PAIR = (Field(min_length=2, max_length=2), AfterValidator(_ordered))
Factors = Annotated[list[Annotated[float, Field(ge=0.1, le=8)]], *_PAIR]
Sigmas = Annotated[list[Annotated[float, Field(ge=0.1, le=10)]], *_PAIR]  # a narrower kernel is none
Deviations = Annotated[list[Annotated[float, Field(ge=0, le=100)]], *_PAIR]
Qualities = Annotated[list[Annotated[int, Field(ge=1, le=100)]], *_PAIR]


class ResizeSettings(Section):
    """A round at another size than the low resolution, by a bilinear or a bicubic kernel."""

    probability: Probability = 0.5
    factors: Factors = Field(default=[0.7, 2.0])  # the round's size / the low resolution


class BlurSettings(Section):
    """A Gaussian of two widths and any direction."""

    probability: Probability = 0.6
    sigma_px: Sigmas = Field(default=[0.2, 1.0])


class NoiseSettings(Section):
    """Gaussian noise, of every colour by itself or of brightness alone."""

    probability: Probability = 0.6
    deviation: Deviations = Field(default=[1.0, 8.0])  # standard, in grey levels of 255
    grey: Probability = 0.4  # share of the noise that is of brightness alone


class JPEGSettings(Section):
    """Compression, colours at half the resolution."""

    probability: Probability = 0.8
    quality: Qualities = Field(default=[40, 95])


class RealisticSettings(Section):
    """Rounds of resizing, blur, noise and JPEG, in this order, each step of every round with its probability.

    Strengths are uniform within their bounds. Repeating the four is the second-order chain of Real-ESRGAN
    (arXiv 2107.10833, section 3); random resizing between them that of BSRGAN (arXiv 2103.14006), too.
    """

    rounds: int = Field(ge=1, le=4, default=2)
    resize: ResizeSettings = ResizeSettings()
    blur: BlurSettings = BlurSettings()
    noise: NoiseSettings = NoiseSettings()
    jpeg: JPEGSettings = JPEGSettings()

    def __str__(self) -> str:
        """In words."""
        factors, blur = _span(self.resize.factors), _span(self.blur.sigma_px)
        steps = (
            (self.resize.probability, f"another size ({factors} of the low resolution)"),
            (self.blur.probability, f"blur (sigma {blur} px)"),
            (self.noise.probability, f"noise ({_span(self.noise.deviation)} grey levels)"),
            (self.jpeg.probability, f"JPEG (quality {_span(self.jpeg.quality)})"),
        )
        taken = ", ".join(f"{share:.0%} {what}" for share, what in steps if share)
        return f"{self.rounds} x [{taken or 'nothing'}]"


def _span(bounds: list[float] | list[int]) -> str:
    return " to ".join(f"{bound:g}" for bound in bounds)
