"""Evaluating super-resolution: every row upscales the same pictures, at every scale of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.data.degradation import Degradation
from arbiscale.errors import UserError
from arbiscale.evaluation.comparisons import (
    EXTREME_PX,
    TRUTH,
    Album,
    ComparisonBuilder,
    PictureWork,
)
from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.pairs import Pairs, Preparation, in_batches
from arbiscale.evaluation.patches import Patches
from arbiscale.evaluation.peers import Peer
from arbiscale.evaluation.pictures import Truth, agreement_with_half_size, as_shown, diversity
from arbiscale.evaluation.protocols import Protocol
from arbiscale.evaluation.rows import Control, Row, Upscalers, draw_rows, sample
from arbiscale.evaluation.scores import Score, problem_lines, score_lines
from arbiscale.imaging.coordinates import Size
from arbiscale.metrics.colour import colour_shift
from arbiscale.metrics.consistency import consistency
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.spectrum import grid_energy

BASELINE = "bicubic"


@dataclass(frozen=True)
class SuperResolution(PictureWork):
    """Baselines, the autoencoder, each model and a control on pictures shrunk by each scale.

    Rows: `bicubic`; `lanczos` in extended protocols; `autoencoder`, which encodes the truth itself at the
    training's magnification (an upper bound); each further model under its name; `other_latent`, the last
    model's pictures from the latent of another scene (the control: what the latent contributes), where
    pictures have one size; the extra models; the peers.

    Attributes:
        protocol: sizes, kernel, channels, border.
        dataset: part of the groups' names, for protocols with several data sets.
        pictures: read one by one.
        scales: output / input.
        upscalers: the models.
        networks: behind metrics.
        album: gets pictures to look at.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.
        peers: what draws further rows, by their names.
        degradation: of the low resolutions, by a protocol that has any.
        patches: gets the patches of every row and of the truth; None = they are not compared.
    """

    protocol: Protocol
    dataset: str
    pictures: Sequence[HeldOutPicture]
    scales: Sequence[float]
    upscalers: Upscalers
    networks: MetricNetworks
    album: Album
    workers: int = 0
    peers: Mapping[str, Peer] = field(default_factory=dict)
    degradation: Degradation | None = None
    patches: Patches | None = None

    @property
    def place(self) -> str:
        """The protocol and the data set."""
        return self.protocol.place(self.dataset)

    @property
    def albums(self) -> list[str]:
        """All groups."""
        return [*self.groups]

    @property
    def last(self) -> str:
        """The row that the table is about."""
        return self.upscalers.last[0]

    @property
    def groups(self) -> dict[str, float]:
        """Names of groups, and their scales."""
        return self.protocol.groups(self.dataset, self.scales)

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        """Some pictures at every scale; see `Work`."""
        preparation, device = self._preparation, self.upscalers.device
        others = _no_others
        if self.protocol.one_size:
            others = Control(self.pictures, partial(self._latent, preparation)).others
        shown = {*self.shown}
        for batch in in_batches(preparation.load(numbers, self.workers), device):
            here = [each.number for each in batch]
            keys = [self.pictures[number].key(self.place) for number in here]
            lines = problem_lines(keys, (each.problems for each in batch))
            for group, scale in self.groups.items():
                if scale not in batch[0].pairs:
                    continue
                pairs = preparation.together(batch, scale, device)
                builders = [
                    ComparisonBuilder(pairs, index)
                    for index, picture in enumerate(pairs.pictures)
                    if picture.name in shown
                ]
                truth = Truth(
                    as_shown(pairs.truth),
                    self.networks,
                    channels=self.protocol.channels,
                    shave_px=self.protocol.shave_px(scale),
                )
                if self.patches:
                    self.patches.add(group, TRUTH, pairs.names, truth.images)
                for row in self._rows(pairs, group, partial(others, here, scale)):
                    try:
                        images, found = self._row(row, group, pairs, truth, keys)
                    except UserError as error:  # of a peer
                        missing = {"group": group, "row": row.name, "finite": True, "problem": str(error)}
                        lines += [key | missing for key in keys]
                        continue
                    lines += found
                    for builder in builders:
                        builder.add(row.name, images)
                for builder in builders:
                    self.album.keep(group, builder.picture.name, builder.finish())
            yield here, lines

    def improvement(self, group: str, name: str) -> dict[str, NDArray[np.uint8]]:
        """The last model's picture beside the bicubic one and the truth, drawn once more."""
        number = self.names.index(name)
        pairs = self._preparation.together(
            [self._preparation[number]], self.groups[group], self.upscalers.device
        )
        builder = ComparisonBuilder(pairs, 0, EXTREME_PX)
        for row in draw_rows(self.protocol, self.upscalers.only_last(), pairs):
            if row.name in (BASELINE, self.last):
                builder.add(row.name, row.draw(pairs.size))
        pictures = builder.finish()
        return {row: pictures[row] for row in (BASELINE, self.last, TRUTH)}

    @property
    def _preparation(self) -> Preparation:
        return Preparation(self.protocol, self.pictures, self.scales, self.degradation)

    def _latent(self, preparation: Preparation, number: int, scale: float) -> Tensor | None:
        """The last model's latent of a picture."""
        prepared = preparation[number]
        if scale not in prepared.pairs:
            return None
        pairs = preparation.together([prepared], scale, self.upscalers.device)
        return sample(self.upscalers.last[1], pairs, self.upscalers.seeds(pairs)).latent[0]

    def _rows(self, pairs: Pairs, group: str, others: Callable[[Tensor], Tensor | None]) -> Iterator[Row]:
        """Those of models, then those of peers."""
        yield from draw_rows(self.protocol, self.upscalers, pairs, others)
        low_size = (pairs.low.shape[-2], pairs.low.shape[-1])
        for name, peer in self.peers.items():
            draw = partial(_draw_peer, peer, pairs, group)
            yield Row(name, draw, low_size, 0.0 if peer.timed else None, any_size=False)

    def _row(
        self, row: Row, group: str, pairs: Pairs, truth: Truth, keys: Sequence[dict[str, str]]
    ) -> tuple[Tensor, list[Score]]:
        """What a row draws of some pictures, and its lines."""
        begun = now_seconds(pairs.truth.device)
        images = row.draw(pairs.size)
        seconds = now_seconds(pairs.truth.device) - begun
        shown, low = as_shown(images), as_shown(pairs.low)
        metrics = truth.compare(shown)
        metrics["consistency"] = consistency(shown, low)
        if row.any_size:
            metrics["self_ssim"] = agreement_with_half_size(shown, row.draw)
        metrics["grid_energy"] = grid_energy((images + 1) / 2, row.latent_size)
        if self.protocol.extended:
            metrics["colour_shift"] = colour_shift(shown, truth.images)
        if row.others:
            draws = [shown, *(as_shown(other()(pairs.size)) for other in row.others)]
            metrics |= diversity(draws, truth.images, self.networks)
        if self.patches:
            self.patches.add(group, row.name, pairs.names, shown)
        spent = None if row.seconds is None else row.seconds + seconds
        return images, score_lines(group, row.name, keys, images, metrics, seconds=spent)


def _draw_peer(peer: Peer, pairs: Pairs, group: str, size: Size) -> Tensor:
    """What a peer draws; it knows the truth's size alone."""
    return peer.draw(pairs, group)


def _no_others(numbers: Sequence[int], scale: float, latent: Tensor) -> Tensor | None:
    """No control."""
    return None
