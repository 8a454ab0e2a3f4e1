"""Training of the latent diffusion model, and what validations of denoisers draw."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.diffusion.process import Process
from arbiscale.imaging.draws import normal_like
from arbiscale.imaging.sheets import comparison
from arbiscale.losses.reduction import per_sample
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import ImagePair
from arbiscale.training.module import TrainingModule, Validation, mean_psnr

_BINS = 4  # of timesteps, whose losses stand apart; fewer where the process has fewer
_PREVIEW_STEPS = 8  # fewer where the process has fewer timesteps


class DiffusionTraining(TrainingModule):
    """The denoiser learns to predict at uniform timesteps; the first stage is frozen.

    Args:
        settings: steps, batch, schedule.
        lr: learning rate of the denoiser.
        model: with a trained first stage.
        encoded: batches are not of crops but of what `encode` made of them.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        lr: float,
        model: LatentDiffusion,
        *,
        encoded: bool = False,
    ) -> None:
        super().__init__("diffusion", settings)
        self.lr = lr
        self.encoded = encoded
        self.model = model
        model.space.requires_grad_(False)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The denoiser."""
        return {"denoiser": (self.model.denoiser, self.lr)}

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Moments of the latents' posterior of crops, and behind them the condition.

        From (batch, 3, height, width) to (batch, channels, height / f, width / f): what a step learns from,
        without anything random but what befalls the low-resolution image.
        """
        return self._encode(images, self.model.pair(images, self.shrink))

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Mean error of the prediction."""
        latent, condition = self._draw(images if self.encoded else self.encode(images))
        timestep = self.model.process.draw_timesteps(len(latent))
        return {"loss": self._errors(condition, latent, timestep).mean()}

    def validate(self, images: Tensor) -> Validation:
        """The loss in each bin of timesteps, every crop in each, and pictures of a short chain."""
        pair = self.model.pair(images, self.shrink)
        latent, condition = self._draw(self._encode(images, pair))
        places = (torch.arange(len(latent), device=latent.device) + 0.5) / len(latent)
        timesteps, bins = self.model.process.timesteps, min(_BINS, self.model.process.timesteps)
        edges = [timesteps * number // bins for number in range(bins + 1)]
        losses = {}
        for first, end in itertools.pairwise(edges):
            timestep = first + (places * (end - first)).long()  # spread evenly
            mean = self._errors(condition, latent, timestep).mean()
            losses[f"loss_timesteps_{first:03d}-{end - 1:03d}"] = float(mean)
        metrics = {"loss": sum(losses.values()) / bins, **losses}
        return preview(self.model, pair, preview_sampling(self.model.process), metrics)

    def _encode(self, images: Tensor, pair: ImagePair) -> Tensor:
        moments = self.model.space.autoencoder.encoder(images)
        return moments if pair.condition is None else torch.cat([moments, pair.condition], 1)

    def _draw(self, encoded: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised latents, drawn from their posterior, and the condition."""
        space = self.model.space
        moments, condition = encoded.tensor_split([space.autoencoder.encoder.moments], dim=1)
        return space.draw(moments), condition if self.model.factor else None

    def _errors(self, condition: Tensor | None, latent: Tensor, timestep: Tensor) -> Tensor:
        """Mean error of each sample's prediction, shape (batch,)."""
        process = self.model.process
        start = process.start(normal_like(latent), condition)
        noisy = process.add_noise(latent, start, timestep)
        prediction = self.model.denoiser(noisy, timestep, condition)
        return per_sample(prediction - process.target(latent, start, timestep), "l2")


def preview_sampling(process: Process) -> SamplingSettings:
    """The validations' chain where the loss runs none: the same in all stages, so that curves compare."""
    sampler: Sampler = "euler" if process.settings.kind == "flow" else "ddim"
    steps = min(_PREVIEW_STEPS, process.timesteps)
    return SamplingSettings(sampler=sampler, steps=steps, spacing="trailing", eta=0.0)


def preview(
    model: LatentDiffusion, pair: ImagePair, sampling: SamplingSettings, metrics: dict[str, float]
) -> Validation:
    """Draw the validation crops through a chain; PSNR to the target where there is a condition."""
    batch, _, height, width = pair.target.shape
    noise = torch.randn(model.latent_shape(batch, (height, width)), device=pair.target.device)
    latent = model.sample(noise, pair.condition, sampling)
    drawn = model.space.decode(latent, (height, width), low=pair.low).clamp(-1, 1)
    if pair.condition is None:
        return Validation(metrics, {"samples": comparison([drawn])})
    metrics = {**metrics, "psnr": mean_psnr(drawn, pair.target)}
    return Validation(metrics, {"samples": comparison([drawn, pair.target])})
