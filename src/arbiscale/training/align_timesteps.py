"""The first alignment stage: one-step estimates from any timestep."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.losses.alignment import clamped_snr_weight, per_sample, weighted_mean
from arbiscale.training.alignment import AlignmentTraining
from arbiscale.training.previews import preview_sampling


class TimestepAlignment(AlignmentTraining):
    """lambda1 w_t ||z0 - z0_hat||^2 + lambda2 w_t image(x0, decode(z0_hat)) (equations 7-9).

    w_t = a / (1 - a), clamped; unclamped, the first term is ||eps - eps_hat||^2.
    """

    def __init__(self, settings: AlignSettings, model: LatentDiffusion, weights_dir: str) -> None:
        training, sampling = settings.timesteps, preview_sampling(model.process)
        super().__init__("align_timesteps", settings, training, sampling, model, weights_dir)

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Both terms, weighted per sample."""
        pair, latent = self.encode(images)
        process = self.model.process
        timestep = process.draw_timesteps(len(latent))
        noisy = process.add_noise(latent, torch.randn_like(latent), timestep)
        prediction = self.model.denoiser(noisy, timestep, pair.condition)
        estimate = process.estimate_latent(prediction, noisy, timestep)
        weight = clamped_snr_weight(process.snr(timestep), self.settings.weight_clamp)
        latent_loss = weighted_mean(weight, per_sample(estimate - latent, "l2"))
        image_loss = weighted_mean(weight, self.image_losses(pair, estimate))
        loss = self.settings.latent_weight * latent_loss + self.settings.image_weight * image_loss
        return {"loss": loss, "latent": latent_loss, "image": image_loss}
