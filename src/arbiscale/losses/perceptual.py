"""LPIPS, the learned perceptual distance (arXiv 1801.03924), as a metric and as a training loss."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale import torchvision_operators  # noqa: F401  before lpips, which imports torchvision
from arbiscale.errors import UserError
from arbiscale.weights import ALEXNET, load_state, obtain


class LPIPS(nn.Module):
    """LPIPS version 0.1 on AlexNet: frozen, differentiable in the images.

    The networks and the learned channel weights are the lpips package's; the forward pass differs from
    its own only in gradients staying finite where all features of a pixel are zero.
    """

    def __init__(self, features: dict[str, Tensor]) -> None:
        """Build from AlexNet's `features.N.weight` and `features.N.bias` (N = 0, 3, 6, 8, 10)."""
        super().__init__()
        import lpips

        # fork_rng: the throw-away initialization must not shift the random numbers of a training run.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
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

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of image pairs.

        Args:
            a: images, shape (batch, 3, height, width), in [-1, 1], at least 32 pixels a side.
            b: images of the same shape.

        Returns:
            One distance a pair, shape (batch,); 0 for equal images.
        """
        a, b = (self.scaling(image).contiguous(memory_format=torch.channels_last) for image in (a, b))
        distance = a.new_zeros(a.shape[0])
        for part, weights in zip(self.slices, self.channel_weights, strict=True):
            a, b = part(a), part(b)
            difference = functional.normalize(a, eps=1e-10) - functional.normalize(b, eps=1e-10)
            distance = distance + weights(difference.square()).mean(dim=(1, 2, 3))
        return distance


def load_lpips(weights_dir: str = "") -> LPIPS:
    """LPIPS on the AlexNet found for `weights_dir` (see arbiscale.weights), else downloaded.

    Raises:
        UnavailableError: AlexNet's weights are nowhere here and cannot be downloaded; says what to do.
        UserError: the file found is not AlexNet's.
    """
    path = obtain(ALEXNET, weights_dir)
    state = load_state(path)
    try:
        return LPIPS(state)
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: is not torchvision's AlexNet ({reason}); fetch it anew") from None
