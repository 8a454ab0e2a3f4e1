"""Forward processes: the closed forms between where chains start, predictions, z_t and z_0."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from arbiscale.config.diffusion import ProcessSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.draws import integers


class Process(nn.Module, ABC):
    """A way from where a chain starts to the latent z_0, cut into timesteps 0 .. timesteps - 1.

    Attributes:
        levels: how far z_t is on it, shape (timesteps,), decreasing; 1 is z_0.
    """

    levels: Tensor

    def __init__(self, settings: ProcessSettings, levels: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.timesteps = settings.timesteps
        self.register_buffer("levels", levels.float(), persistent=False)

    def chain(self, sampling: SamplingSettings) -> tuple[Tensor, Tensor]:
        """The timesteps a sampler visits, noisiest first, and the level each step ends at.

        `leading` is the published spacing (timesteps 1, 1 + T // S, ...; the last step ends at
        level 0); the others start at the noisiest timestep and end at the clean latent, as
        `leading` does where all timesteps are visited.

        Returns:
            Two vectors of `sampling.steps` elements: integers, and values in [0, 1].

        Raises:
            UserError: no steps, or more than the process has timesteps.
        """
        total, steps = self.timesteps, sampling.steps
        if not 1 <= steps <= total:
            raise UserError(f"{steps} sampling steps: ask for 1 to {total}, the model's timesteps")
        index = torch.arange(steps, dtype=torch.float64)
        end = self.levels.new_ones(1)
        if sampling.spacing == "leading":
            stride = total // steps
            offset = min(1, total - 1 - stride * (steps - 1))
            visited = stride * (steps - 1 - index) + offset
            end = self.levels[:1] if offset else end
        elif sampling.spacing == "trailing":
            visited = (total * (steps - index) / steps).round() - 1
        else:
            visited = ((total - 1) * (1 - index / max(1, steps - 1))).round()
        timesteps = visited.long().to(self.levels.device)
        return timesteps, torch.cat([self.levels[timesteps[1:]], end])

    def draw_timesteps(self, count: int) -> Tensor:
        """Uniform timesteps, shape (count,), from the global random state."""
        return integers(self.timesteps, count, self.levels.device)

    @abstractmethod
    def start(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Where a chain starts, of noise (batch, channels, height, width) and a condition of that size."""

    @abstractmethod
    def add_noise(self, latent: Tensor, start: Tensor, timestep: Tensor) -> Tensor:
        """z_t on the way from a start to z_0, each (batch, channels, height, width); timesteps (batch,)."""

    @abstractmethod
    def target(self, latent: Tensor, start: Tensor, timestep: Tensor) -> Tensor:
        """What the denoiser learns to predict at z_t."""

    @abstractmethod
    def estimate_latent(self, prediction: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        """The one-step estimate of z_0 from a prediction at z_t."""

    @abstractmethod
    def snr(self, timestep: Tensor) -> Tensor:
        """The signal-to-noise ratio of z_t, shape (batch,)."""


class DiffusionProcess(Process):
    """z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps (arXiv 2006.11239).

    Chains start from noise eps. Levels are alpha_bar, the cumulated signal variance.
    """

    def __init__(self, settings: ProcessSettings) -> None:
        super().__init__(settings, _cumulated_signal(settings))

    @property
    def alpha_bar(self) -> Tensor:
        """The cumulated signal variance, shape (timesteps,), decreasing."""
        return self.levels

    def start(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """The noise."""
        return noise

    def add_noise(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """z_t from z_0 (batch, channels, height, width) and timesteps (batch,)."""
        signal, sigma = self._coefficients(timestep)
        return signal * latent + sigma * noise

    def target(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """What the denoiser learns to predict: eps, v = sqrt(a) eps - sqrt(1 - a) z_0, or z_0."""
        if self.settings.prediction == "epsilon":
            return noise
        if self.settings.prediction == "x0":
            return latent
        signal, sigma = self._coefficients(timestep)
        return signal * noise - sigma * latent  # arXiv 2202.00512, equation 10

    def estimate_latent(self, prediction: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        """The one-step estimate of z_0 from a prediction at z_t."""
        if self.settings.prediction == "x0":
            return prediction
        signal, sigma = self._coefficients(timestep)
        if self.settings.prediction == "v":
            return signal * noisy - sigma * prediction
        return (noisy - sigma * prediction) / signal

    def snr(self, timestep: Tensor) -> Tensor:
        """Signal-to-noise ratio a / (1 - a), shape (batch,)."""
        alpha_bar = self.alpha_bar[timestep]
        return alpha_bar / (1 - alpha_bar)

    def _coefficients(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t), each (batch, 1, 1, 1)."""
        alpha_bar = self.alpha_bar[timestep][:, None, None, None]
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def _cumulated_signal(settings: ProcessSettings) -> Tensor:
    """alpha_bar of betas linear in their square root, float64 (timesteps,)."""
    roots = torch.linspace(
        settings.beta_start**0.5, settings.beta_end**0.5, settings.timesteps, dtype=torch.float64
    )
    alpha_bar = (1 - roots.square()).cumprod(0)
    if not settings.zero_terminal_snr:
        return alpha_bar
    signal = alpha_bar.sqrt()  # moved and stretched: the first stays, the last is 0 (arXiv 2305.08891)
    return ((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])).square()
