"""The pretrained networks behind metrics: which are available, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from arbiscale.errors import UnavailableError
from arbiscale.metrics.clip_iqa import ClipIqa, load_clip_iqa
from arbiscale.metrics.inception import Inception, load_inception
from arbiscale.metrics.musiq import MUSIQ, load_musiq
from arbiscale.metrics.niqe import NIQE, load_niqe
from arbiscale.metrics.structure_texture import DISTS, load_dists
from arbiscale.pretrained.lpips import LPIPS, VGG, load_lpips

Network = TypeVar("Network", bound=nn.Module)

_PERCEPTUAL: dict[str, Callable[[str], LPIPS | DISTS]] = {  # by its column
    "lpips": load_lpips,
    "lpips_vgg": lambda weights_dir: load_lpips(weights_dir, VGG),
    "dists": load_dists,
}
NoReference = NIQE | MUSIQ | ClipIqa
_NO_REFERENCE: dict[str, Callable[[str], NoReference]] = {
    "niqe": load_niqe,
    "musiq": load_musiq,
    "clip_iqa": load_clip_iqa,
}


@dataclass(frozen=True)
class MetricNetworks:
    """What metrics need besides pictures.

    Attributes:
        perceptual: the distance of image pairs behind each column; None = unavailable, the column is empty.
        no_reference: what judges an image by itself, behind each column; None as above.
        inception: the features in which sets of pictures are compared; None = unavailable, or not asked for.
        unavailable: one line for every missing network: why it is missing, and what to do.
    """

    perceptual: Mapping[str, LPIPS | DISTS | None] = field(default_factory=dict)
    inception: Inception | None = None
    unavailable: tuple[str, ...] = ()
    no_reference: Mapping[str, NoReference | None] = field(default_factory=dict)

    @property
    def _columns(self) -> Iterator[tuple[str, LPIPS | DISTS | NoReference | None]]:
        yield from self.perceptual.items()
        yield from self.no_reference.items()

    @property
    def left_out(self) -> list[str]:
        """The columns that stay empty."""
        return [column for column, network in self._columns if network is None]

    @property
    def least_px(self) -> dict[str, int]:
        """The shortest side of a picture that each available column takes."""
        return {column: network.least_px for column, network in self._columns if network}

    def features(self, images: Tensor) -> dict[str, Iterator[Tensor]]:
        """What each available column compares of images, computed as it is read.

        Args:
            images: shape (batch, 3, height, width), in [0, 1]; columns that take none as small have none.
        """
        return {
            column: network.features(images * 2 - 1)
            for column, network in self.perceptual.items()
            if network and min(images.shape[-2:]) >= network.least_px
        }

    def distances(self, images: Tensor, others: Mapping[str, Iterable[Tensor]]) -> dict[str, Tensor]:
        """Every column's distances of images from others, shape (batch,); NaN where it takes none.

        Args:
            images: shape (batch, 3, height, width), in [0, 1].
            others: features of as many, of the same size.
        """
        found = dict.fromkeys(self.perceptual, images.new_full((len(images),), torch.nan))
        for column, own in self.features(images).items():
            if network := self.perceptual[column]:
                found[column] = network.distance(own, others[column])
        return found

    def judge(self, images: Tensor) -> dict[str, Tensor]:
        """What needs no truth: a score of each image (batch, 3, height, width) in [0, 1], shape (batch,).

        NaN where a column takes no image as small, and of images that hold NaN.
        """
        finite = images.isfinite().flatten(1).all(dim=1)
        found = {}
        for column, network in self.no_reference.items():
            found[column] = images.new_full((len(images),), torch.nan)
            if network and min(images.shape[-2:]) >= network.least_px:
                found[column] = network(images.nan_to_num(0)).where(finite, torch.nan)
        return found


def load_metric_networks(
    perceptual: Sequence[str],
    weights_dir: str,
    device: torch.device,
    *,
    no_reference: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> MetricNetworks:
    """Load what is available or can be downloaded.

    Args:
        perceptual: columns, as in `evaluate.perceptual`.
        weights_dir: where weights are looked for first (see arbiscale.pretrained.files).
        device: the networks' device.
        no_reference: columns, as in `evaluate.no_reference`.
        sets: metrics of sets of pictures, which need Inception; none = it is not loaded.

    Raises:
        UserError: a file of weights is damaged or belongs to another network.
    """
    unavailable: list[str] = []

    def obtained(what: str, load: Callable[[str], Network]) -> Network | None:
        try:
            return load(weights_dir).to(device)
        except UnavailableError as error:
            unavailable.append(f"{what} not measured: {error}")
            return None

    return MetricNetworks(
        {column: obtained(f"{column} is", _PERCEPTUAL[column]) for column in perceptual},
        obtained(f"{in_words(sets)} are", load_inception) if sets else None,
        no_reference={column: obtained(f"{column} is", _NO_REFERENCE[column]) for column in no_reference},
        unavailable=tuple(unavailable),
    )


def in_words(metrics: Sequence[str]) -> str:
    """Two or more metrics as a sentence has them."""
    return f"{', '.join(metrics[:-1])} and {metrics[-1]}"
