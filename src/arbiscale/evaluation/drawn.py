"""Pictures drawn from noise: every latent at every size, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from arbiscale.evaluation.comparisons import Comparison
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pictures import as_shown, batches
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_array
from arbiscale.inference.model import Model
from arbiscale.metrics.cost import now_seconds


@dataclass(frozen=True)
class Drawn:
    """A batch of a model's pictures.

    Attributes:
        pictures: their places among all pictures.
        names: one per picture.
        latent_size: (height, width).
        images: the pictures by size, each of shape (batch, 3, *size), in [-1, 1].
        shown: the same as an 8-bit file holds them, in [0, 1].
        seconds: by size, the time that sampling and decoding at that size took.
    """

    pictures: slice
    names: list[str]
    latent_size: Size
    images: dict[Size, Tensor]
    shown: dict[Size, Tensor]
    seconds: dict[Size, float]

    def comparison(self, index: int, note: str = "") -> Comparison:
        """One latent at every size; the note follows its name."""
        pictures = {size_name(size): to_array(of[index].nan_to_num(0)) for size, of in self.images.items()}
        return Comparison(self.names[index] + note, pictures, {})


def draw(model: Model, sizes: Sequence[Size], count: int, seed: int) -> Iterator[Drawn]:
    """Draw `count` pictures at every size; the first size sets the latents' proportions."""
    latent_size = model.latent_size_for(sizes[0])
    largest = max(sizes, key=lambda size: size[0] * size[1])
    for part in batches(count, largest):
        pictures = slice(part.start, min(part.stop, count))
        begun = now_seconds(model.device)
        names = [f"seed {seed}, picture {number}" for number in range(pictures.start, pictures.stop)]
        seeds = noise_seeds(seed, names)
        latent = model.generate_latents(len(names), latent_size, seed=seeds)
        sampled = now_seconds(model.device)
        images, seconds = {}, {}
        for size in sizes:
            before = now_seconds(model.device)
            images[size] = model.decode(latent, size, seed=seeds)
            seconds[size] = sampled - begun + now_seconds(model.device) - before
        shown = {size: as_shown(image) for size, image in images.items()}
        grid = (latent.shape[-2], latent.shape[-1])
        yield Drawn(pictures, names, grid, images, shown, seconds)


def parse_size(text: str) -> Size:
    """`160x224` as (height, width)."""
    height, width = text.split("x")
    return int(height), int(width)


def size_name(size: Size) -> str:
    """(height, width) as `160x224`."""
    return f"{size[0]}x{size[1]}"
