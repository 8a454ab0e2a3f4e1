"""Evaluating generation: one latent at several sizes, and the autoencoder's reconstruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.config.sizes import size_name
from arbiscale.evaluation.comparisons import PER_GROUP, TRUTH, Album, PictureWork
from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.nearest import TrainingCrops
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Preparation, batch_size, in_batches
from arbiscale.evaluation.pictures import Truth, agreement_with_half_size, as_shown
from arbiscale.evaluation.protocols import SAMPLE
from arbiscale.evaluation.scores import Score, problem_lines, score_lines
from arbiscale.evaluation.sets import Features
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_array
from arbiscale.inference.model import Model
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.self_similarity import self_similarity
from arbiscale.metrics.spectrum import grid_energy

PROTOCOL, RECONSTRUCTION, NEAREST = "generation", "reconstruction", "nearest training crop"


@dataclass(frozen=True)
class Reconstruction(PictureWork):
    """Held-out crops encoded and decoded at their own size.

    Attributes:
        row: of the table.
        model: an autoencoder.
        pictures: of one size.
        networks: behind metrics.
        album: gets pictures to look at.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.
    """

    row: str
    model: Model
    pictures: Sequence[HeldOutPicture]
    networks: MetricNetworks
    album: Album
    workers: int = 0
    place: str = RECONSTRUCTION

    @property
    def albums(self) -> list[str]:
        """The only group."""
        return [self.place]

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        """Some pictures; see `Work`."""
        preparation, shown = Preparation(SAMPLE, self.pictures, [1.0]), {*self.shown}
        for batch in in_batches(preparation.load(numbers, self.workers), self.model.device):
            keys = [self.pictures[each.number].key(self.place) for each in batch]
            lines = problem_lines(keys, (each.problems for each in batch))
            if batch[0].pairs:
                pairs = preparation.together(batch, 1.0, self.model.device)
                begun = now_seconds(self.model.device)
                latent = self.model.encode(pairs.truth)
                images = self.model.decode(latent, pairs.size)
                seconds = now_seconds(self.model.device) - begun
                metrics = Truth(as_shown(pairs.truth), self.networks).compare(as_shown(images))
                draw = partial(self.model.decode, latent)
                metrics["self_ssim"] = agreement_with_half_size(as_shown(images), draw)
                grid = (latent.shape[-2], latent.shape[-1])
                metrics["grid_energy"] = grid_energy((images + 1) / 2, grid)
                lines += score_lines(self.place, self.row, keys, images, metrics, seconds=seconds)
                for name, image, truth in zip(pairs.names, images, pairs.truth, strict=True):
                    if name in shown:
                        both = {self.row: to_array(image.nan_to_num(0)), TRUTH: to_array(truth)}
                        self.album.keep(self.place, name, both)
            yield [each.number for each in batch], lines


@dataclass(frozen=True)
class Generation:
    """Pictures that a model draws from noise, each latent at several sizes.

    Every picture is compared with itself at the other sizes.

    Attributes:
        row: of the table.
        model: of generation.
        sizes: (height, width) in groups: those of a group show the same latents, of the first one's
            proportions.
        count: of latents.
        seed: of the noise.
        album: gets pictures to look at.
        features: by size, gets what sets of pictures are compared by.
        training: crops; beside every picture that is shown stands the nearest of them.
    """

    row: str
    model: Model
    sizes: Sequence[Sequence[Size]]
    count: int
    seed: int
    album: Album
    features: Mapping[Size, Features] = field(default_factory=dict)
    training: TrainingCrops | None = None

    @property
    def place(self) -> str:
        """Of the row's pictures."""
        return f"{PROTOCOL}/{self.row}"

    @property
    def names(self) -> list[str]:
        """Of the pictures, which are the same noise in every row."""
        return [f"picture {number}" for number in range(self.count)]

    @property
    def shown(self) -> list[str]:
        """The names of those that are shown."""
        return self.names[:PER_GROUP]

    @property
    def albums(self) -> list[str]:
        """The row's pictures, at all sizes."""
        return [self.place]

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        """Some pictures; see `Work`."""
        largest = max(chain(*self.sizes), key=lambda size: size[0] * size[1])
        step = batch_size(self.model.device, largest)
        for start in range(0, len(numbers), step):
            here = [*numbers[start : start + step]]
            lines: list[Score] = []
            pictures: list[dict[str, NDArray[np.uint8]]] = [{} for _ in here]
            for sizes in self.sizes:
                lines += self._draw(here, sizes, pictures)
            for number, own in zip(here, pictures, strict=True):
                if own:
                    self.album.keep(self.place, self.names[number], own)
            yield here, lines

    def _draw(
        self, here: Sequence[int], sizes: Sequence[Size], pictures: Sequence[dict[str, NDArray[np.uint8]]]
    ) -> list[Score]:
        """Scores of one latent of each of these pictures, at each size; what is shown goes to `pictures`."""
        model, names = self.model, [self.names[number] for number in here]
        seeds, latent_size = noise_seeds(self.seed, names), model.latent_size_for(sizes[0])
        begun = now_seconds(model.device)
        latent = model.generate_latents(len(here), latent_size, seed=seeds)
        sampled = now_seconds(model.device) - begun
        images, seconds = {}, {}
        for size in sizes:
            begun = now_seconds(model.device)
            images[size] = model.decode(latent, size, seed=seeds)
            seconds[size] = sampled + now_seconds(model.device) - begun
        shown = {size: as_shown(image) for size, image in images.items()}
        agreement = _agreement(shown)
        keys = [{"place": self.place, "picture": name, "photograph": name, "scene": name} for name in names]
        lines = []
        for size in sizes:
            metrics = {"grid_energy": grid_energy((images[size] + 1) / 2, latent_size)}
            if agreement[size]:
                metrics["self_ssim"] = torch.stack(agreement[size]).mean(dim=0)
            lines += score_lines(
                group_of_size(size), self.row, keys, images[size], metrics, seconds=seconds[size]
            )
            if size in self.features:
                self.features[size].add(here, shown[size])
        for index, (number, own) in enumerate(zip(here, pictures, strict=True)):
            if number < PER_GROUP:
                own |= {size_name(size): to_array(of[index].nan_to_num(0)) for size, of in images.items()}
                if self.training:
                    label = NEAREST if sizes is self.sizes[0] else f"{NEAREST}, {size_name(sizes[0])}"
                    own[label] = self.training.nearest(shown[sizes[0]][index])
        return lines


def _agreement(shown: Mapping[Size, Tensor]) -> dict[Size, list[Tensor]]:
    """SelfSSIM of the pictures of every size with those of each other size."""
    agreement: dict[Size, list[Tensor]] = {size: [] for size in shown}
    for one, other in combinations(shown, 2):
        similarity = self_similarity(shown[one], shown[other])
        agreement[one].append(similarity)
        agreement[other].append(similarity)
    return agreement


def group_of_size(size: Size) -> str:
    """The group of generated pictures of a size."""
    return f"{PROTOCOL}/{size_name(size)}"
