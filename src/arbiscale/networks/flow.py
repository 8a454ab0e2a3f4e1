"""LINF's conditional flow: exact likelihood one way, sampling the other (arXiv 2303.05156, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

_SCALE_SHIFT = 2.0  # of a scale's logit: about 0.88 where the condition says nothing
_LEAST_SCALE = 1e-4
_LEAST_LOGIT = -80.0  # exp overflows soon after
Inverted = list[tuple[Tensor, Tensor]]
_RESIDUAL_STD = 0.1  # of what is drawn before training, at temperature 1
_LEAST_DIAGONAL = 1e-4  # of the upper triangle while it is learnt


def _exact(tensor: Tensor) -> Tensor:
    """At least float32."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _linear_maps(flow: ConditionalFlow) -> list[nn.Linear]:
    return [linear for linear in flow.linears if isinstance(linear, nn.Linear)]


class ConditionalFlow(nn.Module):
    """Invertible map between values and standard normal base samples, given a condition.

    Each layer is a linear map followed by an element-wise affine one, whose scale
    sigmoid(s + 2) + 1e-4 and shift come from the condition; a last linear map follows. Computed in float32
    whatever autocast says (float64 where everything is).

    Args:
        dimensions: of a value: 3 of a pixel, 27 of a patch of 3x3.
        layers: pairs of a linear and an affine map.
    """

    def __init__(self, dimensions: int, layers: int) -> None:
        super().__init__()
        self.dimensions, self.layers = dimensions, layers
        self.linears = nn.ModuleList(nn.Linear(dimensions, dimensions) for _ in range(layers + 1))
        # Affine maps only shrink. The linear ones, scaled rotations, must grow values to deviation 1.
        shrunk = torch.sigmoid(torch.tensor(_SCALE_SHIFT, device="cpu")).item() ** layers
        gain = (1 / (_RESIDUAL_STD * shrunk)) ** (1 / (layers + 1))
        for linear in _linear_maps(self):
            nn.init.orthogonal_(linear.weight, gain)
            nn.init.zeros_(linear.bias)

    @property
    def condition_channels(self) -> int:
        """Of a condition: for each layer, logits of scales, then shifts."""
        return 2 * self.dimensions * self.layers

    def forward(self, values: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Base samples of values, and their log-density.

        Args:
            values: shape (count, dimensions).
            condition: shape (count, condition_channels).

        Returns:
            Base samples (count, dimensions), and the logarithm of the values' density (count,) in nats.
        """
        with torch.autocast(values.device.type, enabled=False):
            maps = [(_exact(linear.weight), _exact(linear.bias)) for linear in _linear_maps(self)]
            log_density = torch.linalg.slogdet(torch.stack([weight for weight, _ in maps])).logabsdet.sum()
            sample = functional.linear(_exact(values), *maps[0])
            for (scale, shift), following in zip(self._affine(condition), maps[1:], strict=True):
                sample = functional.linear(sample * scale + shift, *following)
                log_density = log_density + scale.log().sum(1)
            base = -0.5 * (sample.square() + math.log(2 * math.pi)).sum(1)
            return sample, base + log_density

    def inverse(self, sample: Tensor, condition: Tensor, inverted: Inverted | None = None) -> Tensor:
        """Values (count, dimensions) of base samples of that shape; see `forward`.

        `inverted`: what `invert` returns, where many calls share it.
        """
        with torch.autocast(sample.device.type, enabled=False):
            last, *inner = reversed(inverted or self.invert())
            values = torch.addmm(last[1], _exact(sample), last[0])
            for (matrix, offset), (scale, shift) in zip(
                inner, reversed(self._affine(condition)), strict=True
            ):
                values = torch.addmm(offset, (values - shift) / scale, matrix)
            return values

    def _affine(self, condition: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of each layer.

        The sigmoid is spelled out: torch's rounds the last elements of a tensor on a CPU in another way
        than the others, so that a pixel's last bits would depend on the region.
        """
        pairs = _exact(condition).unflatten(1, (self.layers, 2, self.dimensions))
        logits = (pairs[:, :, 0] + _SCALE_SHIFT).clamp(min=_LEAST_LOGIT)
        scales = 1 / (1 + (-logits).exp()) + _LEAST_SCALE
        return [(scales[:, layer], pairs[:, layer, 1]) for layer in range(self.layers)]

    def invert(self) -> Inverted:
        """Of each linear map: its inverse, transposed, and what that makes of minus the bias.

        Computed in float64 where the device has it: errors of an inverse are amplified by all that follow.
        """
        exact = torch.float32 if next(self.parameters()).device.type == "mps" else torch.float64
        inverted = []
        for linear in _linear_maps(self):
            weight, bias = linear.weight, linear.bias
            inverse = torch.linalg.inv(weight.to(exact)).t()
            dtype = _exact(weight).dtype
            inverted.append((inverse.to(dtype), (-bias.to(exact) @ inverse).to(dtype)))
        return inverted


class LowerUpper(nn.Module):
    """A square matrix as permutation * lower * upper triangle, whose diagonal cannot become zero.

    The determinant keeps its sign, so learning cannot pass through a singular matrix. What is learnt is one
    matrix that holds both triangles; the lower one's diagonal is 1.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("permutation", torch.eye(size))
        self.register_buffer("sign", torch.ones(size))

    def forward(self, triangles: Tensor) -> Tensor:
        """The matrix."""
        with torch.autocast(triangles.device.type, enabled=False):
            lower, upper = triangles.tril(-1), triangles.triu(1)
            diagonal = self.sign * (triangles.diagonal().square() + _LEAST_DIAGONAL**2).sqrt()
            unit = torch.eye(len(triangles), dtype=triangles.dtype, device=triangles.device)
            return self.permutation @ (lower + unit) @ (upper + diagonal.diag())

    @torch.no_grad()
    def right_inverse(self, matrix: Tensor) -> Tensor:
        """The triangles of a matrix, or of one close to it where the diagonal is too small."""
        permutation, lower, upper = torch.linalg.lu(matrix.cpu().double())
        diagonal = upper.diagonal()
        self.permutation.copy_(permutation)
        self.sign.copy_(torch.where(diagonal < 0, -1.0, 1.0))
        learnt = (diagonal.square() - _LEAST_DIAGONAL**2).clamp(min=_LEAST_DIAGONAL**2).sqrt()
        return (lower.tril(-1) + upper.triu(1) + learnt.diag()).to(matrix)


@contextmanager
def invertible(network: nn.Module) -> Iterator[None]:
    """While it lasts, the linear maps of a network's flows are learnt as triangles, then matrices again.

    Those that are frozen when it begins stay as they are.
    """
    linears = [
        linear
        for flow in network.modules()
        if isinstance(flow, ConditionalFlow)
        for linear in _linear_maps(flow)
        if linear.weight.requires_grad
    ]
    for linear in linears:
        parametrize.register_parametrization(linear, "weight", LowerUpper(linear.out_features))
    try:
        yield
    finally:
        for linear in linears:
            parametrize.remove_parametrizations(linear, "weight")
            bias = linear.bias
            del linear.bias
            linear.bias = bias  # behind the weight again
