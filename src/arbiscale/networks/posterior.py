"""What the encoder says of an image's latent: a point, or a diagonal Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """The distribution of the latent given an image.

    Attributes:
        mean: shape (batch, channels, height, width).
        logvar: logarithm of the variance, same shape; None for a point (deterministic encoder).
    """

    mean: Tensor
    logvar: Tensor | None = None

    @staticmethod
    def from_moments(moments: Tensor, gaussian: bool) -> Posterior:
        """Split the encoder's output (batch, channels or 2 channels, height, width)."""
        if not gaussian:
            return Posterior(moments)
        mean, logvar = moments.chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-30.0, 20.0))

    def mode(self) -> Tensor:
        """The most likely latent."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw; the point itself for a deterministic encoder."""
        if self.logvar is None:
            return self.mean
        noise = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + noise * torch.exp(0.5 * self.logvar)

    def kl(self) -> Tensor:
        """KL divergence to the standard normal, mean over dimensions, shape (batch,)."""
        if self.logvar is None:
            return self.mean.new_zeros(len(self.mean))
        divergence = 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar)
        return divergence.flatten(1).mean(1)
