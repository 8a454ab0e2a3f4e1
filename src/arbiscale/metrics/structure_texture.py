"""DISTS, the distance of image structure and texture (arXiv 2004.07728)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from importlib.resources import as_file, files

import torch
from torch import Tensor, nn

from arbiscale.pretrained.files import VGG16, load_network
from arbiscale.pretrained.reading import load_state

LEAST_PX = 16  # the side that VGG16 reduces to one feature
_STAGE_ENDS = (4, 9, 16, 23, 30)  # of VGG16's layers: after the last ReLU of each resolution
_CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image and of each stage's features
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1]
_STABILITY = 1e-6  # c1 and c2 of equations 3 and 4


class DISTS(nn.Module):
    """Similarity of the means (texture) and correlation (structure) of VGG16's features, as a distance.

    The pooling layers and the learned channel weights are torchmetrics'. Its own network is not used, as it
    cannot be built without downloading VGG16.

    Attributes:
        least_px: the shortest side of an image that it takes.
    """

    least_px = LEAST_PX
    mean: Tensor
    deviation: Tensor
    texture_weights: Tensor
    structure_weights: Tensor

    def __init__(self, features: dict[str, Tensor]) -> None:
        """Build from VGG16's `features.N.weight` and `features.N.bias`; more may be there.

        Raises:
            KeyError: some are missing.
            RuntimeError: some have another shape.
        """
        super().__init__()
        from torchvision.models import vgg16

        with torch.device("meta"):  # draws no initial weights
            layers = vgg16(init_weights=False).features
        layers.load_state_dict({key: features[f"features.{key}"] for key in layers.state_dict()}, assign=True)
        starts = (0, *_STAGE_ENDS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(*_with_l2_pooling(layers[start:end]))
            for start, end in zip(starts, _STAGE_ENDS, strict=True)
        )
        texture, structure = _channel_weights()
        self.register_buffer("texture_weights", texture)
        self.register_buffer("structure_weights", structure)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """What is compared of images (batch, 3, height, width) in [-1, 1]: themselves, then each stage's."""
        found = images.add(1).div(2)
        yield found
        found = (found - self.mean) / self.deviation
        for stage in self.stages:
            found = stage(found)
            yield found

    def distance(self, a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
        """Distances of image pairs by their features, shape (batch,)."""
        stages = enumerate(zip(a, b, strict=True))
        return 1 - reduce(torch.add, (self._similarity(stage, *pair) for stage, pair in stages))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of image pairs.

        Args:
            a: images, shape (batch, 3, height, width), in [-1, 1], at least `least_px` pixels a side.
            b: images of the same shape.

        Returns:
            One distance per pair, shape (batch,); 0 for equal images.
        """
        return self.distance(self.features(a), self.features(b))

    def _similarity(self, stage: int, a: Tensor, b: Tensor) -> Tensor:
        """The weighted share of one stage's features (batch, channels, height, width), shape (batch,)."""
        mean_a, mean_b = a.mean(dim=(2, 3)), b.mean(dim=(2, 3))  # (batch, channels)
        texture = (2 * mean_a * mean_b + _STABILITY) / (mean_a.square() + mean_b.square() + _STABILITY)
        deviation_a, deviation_b = a - mean_a[..., None, None], b - mean_b[..., None, None]
        variances = deviation_a.square().mean(dim=(2, 3)) + deviation_b.square().mean(dim=(2, 3))
        covariance = (deviation_a * deviation_b).mean(dim=(2, 3))
        structure = (2 * covariance + _STABILITY) / (variances + _STABILITY)
        first = sum(_CHANNELS[:stage])
        channels = slice(first, first + _CHANNELS[stage])
        weighted = texture * self.texture_weights[channels] + structure * self.structure_weights[channels]
        return weighted.sum(dim=1)


def load_dists(weights_dir: str = "") -> DISTS:
    """DISTS on the VGG16 found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: VGG16's weights are nowhere here and cannot be downloaded; says what to do.
        UserError: the file found is not VGG16's.
    """
    return load_network(VGG16, weights_dir, DISTS)


def _with_l2_pooling(layers: nn.Sequential) -> list[nn.Module]:
    """VGG16's layers with its maximum pooling replaced by torchmetrics' Hann-windowed root mean square."""
    from torchmetrics.functional.image.dists import L2pooling

    channels = next(layer.in_channels for layer in layers if isinstance(layer, nn.Conv2d))
    return [L2pooling(channels=channels) if isinstance(layer, nn.MaxPool2d) else layer for layer in layers]


def _channel_weights() -> tuple[Tensor, Tensor]:
    """Alpha and beta, each of shape (channels of all stages,); together they sum to 1."""
    with as_file(files("torchmetrics.functional.image") / "dists_models/weights.pt") as path:
        learned = load_state(path)
    alpha, beta = (learned[name].detach().flatten() for name in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    return alpha / total, beta / total
