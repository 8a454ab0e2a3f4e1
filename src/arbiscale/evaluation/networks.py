"""The pretrained networks behind metrics: which are available, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from arbiscale.errors import UnavailableError
from arbiscale.metrics.inception import Inception, load_inception
from arbiscale.metrics.structure_texture import DISTS, load_dists
from arbiscale.pretrained.lpips import LPIPS, VGG, load_lpips

_PERCEPTUAL: dict[str, Callable[[str], LPIPS | DISTS]] = {  # by its column
    "lpips": load_lpips,
    "lpips_vgg": lambda weights_dir: load_lpips(weights_dir, VGG),
    "dists": load_dists,
}


@dataclass(frozen=True)
class MetricNetworks:
    """What metrics need besides pictures.

    Attributes:
        perceptual: the distance of image pairs behind each column; None = unavailable, the column is empty.
        inception: the features in which sets of pictures are compared; None = unavailable, or not asked for.
        unavailable: one line for every missing network: why it is missing, and what to do.
    """

    perceptual: Mapping[str, LPIPS | DISTS | None] = field(default_factory=dict)
    inception: Inception | None = None
    unavailable: tuple[str, ...] = ()

    @property
    def left_out(self) -> list[str]:
        """The columns that stay empty."""
        return [column for column, network in self.perceptual.items() if network is None]

    @property
    def least_px(self) -> dict[str, int]:
        """The shortest side of a picture that each available column takes."""
        return {column: network.least_px for column, network in self.perceptual.items() if network}

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


def load_metric_networks(
    perceptual: Sequence[str], weights_dir: str, device: torch.device, *, inception: bool = False
) -> MetricNetworks:
    """Load what is available or can be downloaded.

    Args:
        perceptual: columns, as in `evaluate.perceptual`.
        weights_dir: where weights are looked for first (see arbiscale.pretrained.files).
        device: the networks' device.
        inception: whether sets of pictures are compared as well.

    Raises:
        UserError: a file of weights is damaged or belongs to another network.
    """
    found: dict[str, LPIPS | DISTS | None] = {}
    unavailable = []
    for column in perceptual:
        try:
            found[column] = _PERCEPTUAL[column](weights_dir).to(device)
        except UnavailableError as error:
            found[column] = None
            unavailable.append(f"{column} is not measured: {error}")
    features = None
    if inception:
        try:
            features = load_inception(weights_dir).to(device)
        except UnavailableError as error:
            unavailable.append(f"fid, kid, precision and recall are not measured: {error}")
    return MetricNetworks(found, features, tuple(unavailable))
