"""A straight path to the latent from one close to it: the condition's, with a little noise."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.config.diffusion import ProcessSettings
from arbiscale.diffusion.process import Process


class FlowProcess(Process):
    """z_t = (1 - a_t) start + a_t z_0, with start = condition + start_noise * eps (rectified flow).

    A chain of super-resolution begins at the low-resolution image's latent instead of pure noise, so few
    steps are enough, and what the image says is kept (OFTSR, arXiv 2412.09465; ResShift, arXiv 2307.12348).
    The noise decides how much texture can be drawn. The denoiser predicts the velocity z_0 - start.

    Attributes:
        levels: a_t = 1 - (t + 1) / timesteps, so that the last timestep is the start itself.
    """

    def __init__(self, settings: ProcessSettings) -> None:
        timesteps = settings.timesteps
        super().__init__(settings, 1 - torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps)

    def start(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """The condition's latent, its first channels, with a little noise."""
        if condition is None:
            raise ValueError("a flow starts from the condition; generation has none")
        return condition[:, : noise.shape[1]] + self.settings.start_noise * noise

    def add_noise(self, latent: Tensor, start: Tensor, timestep: Tensor) -> Tensor:
        """z_t from z_0 (batch, channels, height, width) and timesteps (batch,)."""
        return torch.lerp(start, latent, self._level(timestep))

    def target(self, latent: Tensor, start: Tensor, timestep: Tensor) -> Tensor:
        """The velocity."""
        return latent - start

    def estimate_latent(self, prediction: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        """z_0, were the path straight from z_t on."""
        return noisy + (1 - self._level(timestep)) * prediction

    def snr(self, timestep: Tensor) -> Tensor:
        """Infinite: every estimate counts alike, shape (batch,)."""
        return torch.full(timestep.shape, torch.inf, device=timestep.device)

    def _level(self, timestep: Tensor) -> Tensor:
        return self.levels[timestep][:, None, None, None]
