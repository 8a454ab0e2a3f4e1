"""The rows of a table of super-resolution: baselines, models, and the control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypedDict, Unpack

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Pairs, resized
from arbiscale.evaluation.pictures import Draw, in_batches
from arbiscale.evaluation.protocols import Protocol
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from arbiscale.inference.model import Model
from arbiscale.metrics.cost import now_seconds


class Chain(TypedDict, total=False):
    """How latents are sampled where not as the model would: steps, and ddim's eta."""

    steps: int | None
    eta: float | None


@dataclass(frozen=True)
class Row:
    """One way to draw all pictures of a batch."""

    name: str
    draw: Draw
    latent_size: Size
    seconds: float | None  # spent on latents; None = the row's speed means nothing
    others: Sequence[Callable[[], Draw]] = ()  # the same with other seeds; each samples when called


@dataclass(frozen=True)
class Upscalers:
    """The models that draw rows beside the baselines.

    Attributes:
        models: `autoencoder`, then models of super-resolution in the order of their training.
        extra: further models of super-resolution, under names of their own.
        seed: of the sampling noise.
        samples: draws of each picture; the first is compared with the truth, the others show how much
            pictures differ from draw to draw.
    """

    models: Mapping[str, Model]
    extra: Mapping[str, Model]
    seed: int
    samples: int

    def most_rows(self, protocol: Protocol) -> int:
        """The largest number of rows of a table, the control included."""
        baselines = 2 if protocol.extended else 1
        alone = [*self.models.values()][-1].has_branch
        return baselines + len(self.models) + alone + protocol.together + len(self.extra)


def draw_rows(protocol: Protocol, upscalers: Upscalers, pairs: Pairs) -> Iterator[Row]:
    """The rows one after another, so that only one model's latents are held at a time."""
    low = pairs.low
    low_size = (low.shape[-2], low.shape[-1])
    yield Row("bicubic", lambda size: resized(protocol, low, size), low_size, 0.0)
    if protocol.extended:
        yield Row("lanczos", lambda size: _lanczos(low, size), low_size, 0.0)
    for name, model in upscalers.models.items():
        row, latent = _model_row(name, model, pairs, upscalers)
        yield row
    seeds = noise_seeds(upscalers.seed, pairs.names)
    if model.has_branch:
        alone = drawing(model, latent, low, seeds, fidelity=1.0)
        yield Row("without_latent", alone, row.latent_size, None)
    if shift := shift_to_others(pairs.photographs):
        other = drawing(model, latent.roll(shift, dims=0), low, seeds)
        yield Row("other_latent", other, row.latent_size, None)
    for name, model in upscalers.extra.items():
        yield _model_row(name, model, pairs, upscalers)[0]


def _model_row(name: str, model: Model, pairs: Pairs, upscalers: Upscalers) -> tuple[Row, Tensor]:
    """A model's row, its latents sampled, and these."""
    seeds = noise_seeds(upscalers.seed, pairs.names)

    def redraw(sample: int) -> Draw:
        others = noise_seeds(upscalers.seed, pairs.names, sample)
        return drawing(model, make_latents(model, pairs, others), pairs.low, others)

    begun = now_seconds(model.device)
    latent = make_latents(model, pairs, seeds)
    seconds = now_seconds(model.device) - begun
    latent_size = (latent.shape[-2], latent.shape[-1])
    further = range(1, upscalers.samples) if model.task != "reconstruction" else ()
    others = [partial(redraw, sample) for sample in further]
    draw = drawing(model, latent, pairs.low, seeds)
    return Row(name, draw, latent_size, seconds, others), latent


def _lanczos(low: Tensor, size: Size) -> Tensor:
    """Images in [-1, 1] resized by PIL's Lanczos kernel, in 8 bits."""
    pictures = (Image.fromarray(to_array(image)) for image in low)
    large = (picture.resize((size[1], size[0]), Image.Resampling.LANCZOS) for picture in pictures)
    return torch.cat([to_tensor(np.asarray(picture)) for picture in large]).to(low.device)


def make_latents(model: Model, pairs: Pairs, seeds: Sequence[int], **options: Unpack[Chain]) -> Tensor:
    """Latents sampled for the low-resolution images; by an autoencoder alone, encoded from the truth."""
    low = pairs.low
    fine = (low.shape[-2] * model.factor, low.shape[-1] * model.factor)
    if model.task == "reconstruction":
        source = resize(pairs.truth, fine).clamp(-1, 1)
        return in_batches(lambda part: model.encode(source[part]), len(low), fine)

    def sample(part: slice) -> Tensor:
        return model.sample_latents(low[part], seed=seeds[part], **options)

    return in_batches(sample, len(low), fine)


def drawing(
    model: Model,
    latent: Tensor,
    low: Tensor,
    seeds: Sequence[int],
    temperature: float | None = None,
    fidelity: float | None = None,
) -> Draw:
    """How a model draws its latents, at any size; None = at its own temperature, fidelity."""

    def draw(size: Size) -> Tensor:
        def decode(part: slice) -> Tensor:
            return model.decode(
                latent[part],
                size,
                low_resolution=low[part],
                temperature=temperature,
                fidelity=fidelity,
                seed=seeds[part],
            )

        return in_batches(decode, len(latent), size)

    return draw


def shift_to_others(photographs: Sequence[str]) -> int:
    """The smallest shift of a list that puts another photograph in most places; 0 where there is only one.

    The pictures of one photograph must follow one another. Rolled by the length of the longest run of them,
    every picture meets another photograph; where that run is longer than the rest, all of the rest does.
    """
    longest = max((len([*run]) for _, run in groupby(photographs)), default=0)
    return min(longest, len(photographs) - longest)
