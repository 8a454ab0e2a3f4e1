"""The forward process and the closed forms between noise, v, x0 and the noisy latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import arbiscale.torchvision_operators  # noqa: F401  (before diffusers)
from arbiscale.config.diffusion import ProcessSettings
from arbiscale.config.sampling import SamplingSettings

from diffusers import DDIMScheduler  # isort: skip

_PREDICTION_TYPES = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}


class DiffusionProcess(nn.Module):
    """z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps, t = 0 .. timesteps - 1 (arXiv 2006.11239).

    Attributes:
        alpha_bar: cumulated signal variance, shape (timesteps,), decreasing.
    """

    alpha_bar: Tensor

    def __init__(self, settings: ProcessSettings) -> None:
        super().__init__()
        self.settings = settings
        self.timesteps = settings.timesteps
        self.register_buffer("alpha_bar", self.scheduler().alphas_cumprod.clone(), persistent=False)

    def scheduler(self, sampling: SamplingSettings | None = None) -> DDIMScheduler:
        """A DDIM scheduler on this process's betas that really runs the steps asked for.

        `leading` is the published spacing (timesteps 1, 1 + T/S, ...; the last step ends at
        alpha_bar_0); the others start at the noisiest timestep and end at the clean latent.
        """
        steps = sampling.steps if sampling else 1
        leading = sampling is not None and sampling.spacing == "leading"
        last = self.timesteps // steps * (steps - 1)
        scheduler = DDIMScheduler(
            num_train_timesteps=self.timesteps,
            beta_start=self.settings.beta_start,
            beta_end=self.settings.beta_end,
            beta_schedule="scaled_linear",
            prediction_type=_PREDICTION_TYPES[self.settings.prediction],
            rescale_betas_zero_snr=self.settings.zero_terminal_snr,
            timestep_spacing=sampling.spacing if sampling else "trailing",
            steps_offset=int(leading and last + 1 < self.timesteps),
            set_alpha_to_one=not leading,
            clip_sample=False,
        )
        if sampling:
            scheduler.set_timesteps(steps)
        return scheduler

    def draw_timesteps(self, count: int) -> Tensor:
        """Uniform timesteps, shape (count,), from the global random state."""
        return torch.randint(self.timesteps, (count,), device=self.alpha_bar.device)

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
