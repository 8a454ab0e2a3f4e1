"""What may be chosen of a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from arbiscale.config.sampling import Sampler


class SamplerOptions(TypedDict, total=False):
    """How latents are sampled.

    Attributes:
        steps: sampling steps; None = the model's own.
        sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
        eta: noise that ddim adds; None = the model's own.
    """

    steps: int | None
    sampler: Sampler | None
    eta: float | None


class SamplingOptions(SamplerOptions, total=False):
    """How latents are sampled, and from which noise.

    Attributes:
        seed: of the noise: of the first picture, those after it have its successors; or one a picture.
            0 by default.
    """

    seed: int | Sequence[int]


class Dials(TypedDict):
    """How a latent is drawn; None = as the model does by itself.

    Attributes:
        temperature: of texture.
        fidelity: see `Model.upscale`.
    """

    temperature: float | None
    fidelity: float | None
