"""The rows of a table of super-resolution: baselines, models, and the control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict, Unpack

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Pairs, resized
from arbiscale.evaluation.pictures import Draw
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
    others: Sequence[Callable[[], Draw]] = ()  # the same with other noise; each samples when called
    any_size: bool = True  # else only the truth's


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

    @property
    def device(self) -> torch.device:
        """Where they draw."""
        return next(iter(self.models.values())).device

    @property
    def last(self) -> tuple[str, Model]:
        """The model that the table is about, and its row."""
        return [*self.models.items()][-1]

    def only_last(self) -> Upscalers:
        """Without the other models."""
        return replace(self, models=dict([self.last]), extra={}, samples=1)

    def seeds(self, pairs: Pairs, sample: int = 0) -> list[int]:
        """Of the noise of a batch's pictures."""
        return noise_seeds(self.seed, pairs.names, sample)


@dataclass(frozen=True)
class Sampled:
    """A model's latents of a batch, drawn at any size.

    Attributes:
        model: whose they are.
        latent: shape (batch, channels, height, width).
        low: the low-resolution images.
        seeds: of each picture's texture.
    """

    model: Model
    latent: Tensor
    low: Tensor
    seeds: Sequence[int]

    def draw(self, size: Size, *, temperature: float | None = None, fidelity: float | None = None) -> Tensor:
        """Pictures (batch, 3, *size) in [-1, 1]; None = at the model's own temperature, fidelity."""
        return self.model.decode(
            self.latent,
            size,
            low_resolution=self.low,
            temperature=temperature,
            fidelity=fidelity,
            seed=self.seeds,
        )


def sample(model: Model, pairs: Pairs, seeds: Sequence[int], **chain: Unpack[Chain]) -> Sampled:
    """Latents sampled for the low-resolution images; by an autoencoder alone, encoded from the truth."""
    low = pairs.low
    if model.task == "reconstruction":
        fine = (low.shape[-2] * model.factor, low.shape[-1] * model.factor)
        return Sampled(model, model.encode(resize(pairs.truth, fine).clamp(-1, 1)), low, seeds)
    return Sampled(model, model.sample_latents(low, seed=seeds, **chain), low, seeds)


class Control:
    """Draws pictures with the last model's latents of other scenes: what the latent contributes.

    Args:
        pictures: of the data set.
        sample: latents of one of them, by its number and the scale; None where it has none.
    """

    def __init__(
        self, pictures: Sequence[HeldOutPicture], sample: Callable[[int, float], Tensor | None]
    ) -> None:
        self._others = of_other_scenes(pictures)
        self._sample = sample
        self._kept: dict[tuple[int, float], Tensor] = {}

    def others(self, numbers: Sequence[int], scale: float, latent: Tensor) -> Tensor | None:
        """Latents of as many pictures of other scenes; None where there are none.

        Args:
            numbers: of a batch's pictures, which follow those of the last call.
            scale: output / input.
            latent: of the batch, kept for the pictures to come.
        """
        wanted = [self._others[number] for number in numbers]
        here = {(number, scale): own for number, own in zip(numbers, latent, strict=True)}
        known = self._kept | here
        latents = []
        for other in wanted:
            found = None
            if other is not None:
                found = known[other, scale] if (other, scale) in known else self._sample(other, scale)
            if found is not None:
                latents.append(found)
        soon = {*numbers, *wanted}
        self._kept = {key: kept for key, kept in known.items() if key[0] in soon}
        return torch.stack(latents) if len(latents) == len(numbers) else None


def of_other_scenes(pictures: Sequence[HeldOutPicture]) -> list[int | None]:
    """The nearest picture before each that shows another scene; before the first is the last."""
    others: list[int | None] = []
    other = None
    count = len(pictures)
    for number in (*range(count), *range(count)):  # the second round knows what is before the first
        before = (number - 1) % count
        if pictures[before].scene != pictures[number].scene:
            other = before
        others.append(other)
    return others[count:]


def draw_rows(
    protocol: Protocol,
    upscalers: Upscalers,
    pairs: Pairs,
    others: Callable[[Tensor], Tensor | None] = lambda latent: None,
) -> Iterator[Row]:
    """The rows one after another, so that only one model's latents are held at a time.

    Args:
        protocol: whose kernel; whether there is a Lanczos row.
        upscalers: the models.
        pairs: what they draw.
        others: of the last model's latents, those that the control draws instead; None = there is no control.
    """
    low = pairs.low
    low_size = (low.shape[-2], low.shape[-1])
    yield Row("bicubic", lambda size: resized(protocol, low, size), low_size, 0.0)
    if protocol.extended:
        yield Row("lanczos", lambda size: _lanczos(low, size), low_size, 0.0)
    for name, model in upscalers.models.items():
        row, sampled = _model_row(name, model, pairs, upscalers)
        yield row
    if model.has_branch:
        yield Row("without_latent", partial(sampled.draw, fidelity=1.0), row.latent_size, None)
    if (latents := others(sampled.latent)) is not None:
        yield Row("other_latent", replace(sampled, latent=latents).draw, row.latent_size, None)
    for name, model in upscalers.extra.items():
        yield _model_row(name, model, pairs, upscalers)[0]


def _model_row(name: str, model: Model, pairs: Pairs, upscalers: Upscalers) -> tuple[Row, Sampled]:
    """A model's row, its latents sampled, and these."""
    begun = now_seconds(model.device)
    sampled = sample(model, pairs, upscalers.seeds(pairs))
    seconds = now_seconds(model.device) - begun

    def redraw(number: int) -> Draw:
        return sample(model, pairs, upscalers.seeds(pairs, number)).draw

    further = range(1, upscalers.samples) if draws_noise(model) else ()
    latent_size = (sampled.latent.shape[-2], sampled.latent.shape[-1])
    return Row(name, sampled.draw, latent_size, seconds, [partial(redraw, each) for each in further]), sampled


def draws_noise(model: Model) -> bool:
    """Whether what a model draws depends on a seed."""
    samples = model.timesteps > 0 or (model.has_texture and model.temperature > 0)
    return samples and model.fidelity < 1


def _lanczos(low: Tensor, size: Size) -> Tensor:
    """Images in [-1, 1] resized by PIL's Lanczos kernel, in 8 bits."""
    pictures = (Image.fromarray(to_array(image)) for image in low)
    large = (picture.resize((size[1], size[0]), Image.Resampling.LANCZOS) for picture in pictures)
    return torch.cat([to_tensor(np.asarray(picture)) for picture in large]).to(low.device)
