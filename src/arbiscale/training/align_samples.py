"""The second alignment stage: the image at the 0-th step of a short chain."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.losses.alignment import per_sample
from arbiscale.training.alignment import AlignmentTraining


class SampleAlignment(AlignmentTraining):
    """lambda2 image(x0, decode(z_0)), z_0 drawn by a short chain, gradients through its last steps.

    Super-resolution starts from noise: the condition tells which image is meant. Generation has
    nothing to tell it, so its chain starts from the image's own latent, noised to where the steps
    with gradients begin.
    """

    def __init__(self, settings: AlignSettings, model: LatentDiffusion, weights_dir: str) -> None:
        samples = settings.samples
        super().__init__("align_samples", settings, samples.training, samples.sampling, model, weights_dir)
        self.gradient_steps = samples.gradient_steps

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """The image loss at the end of the chain; the latent's error is only watched."""
        pair, latent = self.encode(images)
        start, first_step = torch.randn_like(latent), 0
        if pair.condition is None:
            first_step = self.sampling.steps - self.gradient_steps
            timesteps, _ = self.model.process.chain(self.sampling)
            start = self.model.process.add_noise(latent, start, timesteps[first_step].expand(len(latent)))
        drawn = self.model.sample(
            start,
            pair.condition,
            self.sampling,
            first_step=first_step,
            gradient_steps=self.gradient_steps,
        )
        image_loss = self.image_losses(pair, drawn).mean()
        latent_error = per_sample(drawn.detach() - latent, "l2").mean()
        return {"loss": self.settings.image_weight * image_loss, "image": image_loss, "latent": latent_error}
