"""LPIPS, the learned perceptual distance (arXiv 1801.03924), as a metric and as a training loss."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.pretrained.files import ALEXNET, VGG16, Pretrained, load_network, locate


@dataclass(frozen=True)
class Backbone:
    """A network whose features LPIPS compares.

    Attributes:
        pretrained: its weights, `features.N.weight` and `features.N.bias`.
        name: the lpips package's.
        least_px: the shortest side of an image that it takes.
    """

    pretrained: Pretrained
    name: Literal["alex", "vgg"]
    least_px: int


ALEX = Backbone(ALEXNET, "alex", 32)
VGG = Backbone(VGG16, "vgg", 16)


class LPIPS(nn.Module):
    """LPIPS version 0.1: frozen, differentiable in the images.

    The networks and the learned channel weights are the lpips package's; the forward pass differs from
    its own only in gradients staying finite where all features of a pixel are zero.

    Attributes:
        least_px: the shortest side of an image that it takes.
    """

    def __init__(self, features: dict[str, Tensor], backbone: Backbone = ALEX) -> None:
        """Build from the backbone's weights; further tensors are ignored.

        Raises:
            KeyError: some are missing.
            RuntimeError: some have another shape.
        """
        super().__init__()
        import lpips

        # fork_rng: the throw-away initialization must not shift the random numbers of a training run.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = lpips.LPIPS(net=backbone.name, pnet_rand=True, verbose=False)
        self.least_px = backbone.least_px
        self.scaling = network.scaling_layer
        self.slices = nn.ModuleList(getattr(network.net, f"slice{i}") for i in range(1, 6))
        self.channel_weights = nn.ModuleList(network.lins)
        for part in self.slices:
            renamed = {key: features[f"features.{key}"] for key in part.state_dict()}
            part.load_state_dict(renamed)
        self.requires_grad_(False)
        self.eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.3x on a CPU

    def train(self, mode: bool = True) -> LPIPS:
        """Stay in evaluation mode: the channel weights carry dropout."""
        return super().train(False)

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """What is compared of images (batch, 3, height, width) in [-1, 1]: normalised, layer by layer."""
        found = self.scaling(images).contiguous(memory_format=torch.channels_last)
        for part in self.slices:
            found = part(found)
            yield functional.normalize(found, eps=1e-10)

    def distance(self, a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
        """Distances of image pairs by their features, shape (batch,)."""
        layers = zip(a, b, self.channel_weights, strict=True)
        parts = (weights((one - other).square()).mean(dim=(1, 2, 3)) for one, other, weights in layers)
        return reduce(torch.add, parts)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of image pairs.

        Args:
            a: images, shape (batch, 3, height, width), in [-1, 1], at least `least_px` pixels a side.
            b: images of the same shape.

        Returns:
            One distance a pair, shape (batch,); 0 for equal images.
        """
        return self.distance(self.features(a), self.features(b))


def best_backbone(weights_dir: str = "") -> Backbone:
    """VGG16 where its weights are at hand (nothing is downloaded), else AlexNet."""
    return VGG if locate(VGG16, weights_dir) else ALEX


def load_lpips(weights_dir: str = "", backbone: Backbone = ALEX) -> LPIPS:
    """LPIPS on the weights found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: the weights are not found and cannot be downloaded.
        UserError: the file belongs to another network.
    """
    return load_network(backbone.pretrained, weights_dir, lambda state: LPIPS(state, backbone))
