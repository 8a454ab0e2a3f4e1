"""The two alignment stages: which networks learn, and the image loss through the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.align import AlignSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.imaging.coordinates import crop, random_region
from arbiscale.imaging.draws import normal_like
from arbiscale.losses.grid import grid_loss
from arbiscale.losses.image import ImageLoss
from arbiscale.losses.reduction import clamped_snr_weight, per_sample, weighted_mean
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import ImagePair
from arbiscale.training.diffusion import preview, preview_sampling
from arbiscale.training.module import TrainingModule, Validation


class AlignmentTraining(TrainingModule):
    """Aligns a trained denoiser with the implicit decoder, which learns too where it has a learning rate.

    Args:
        name: of the stage.
        settings: learning rates and weights of the losses.
        training: steps, batch, schedule.
        sampling: the chain that validations draw with.
        model: the trained model.
        weights_dir: folder of the LPIPS network.
    """

    def __init__(
        self,
        name: str,
        settings: AlignSettings,
        training: TrainingSettings,
        sampling: SamplingSettings,
        model: LatentDiffusion,
        weights_dir: str,
    ) -> None:
        super().__init__(name, training)
        self.settings = settings
        self.sampling = sampling
        self.model = model
        model.space.requires_grad_(False)
        self._drawing_part.requires_grad_(settings.decoder_lr > 0)
        self.image_loss = ImageLoss(settings.image_norm, settings.lpips_weight, weights_dir)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The denoiser, and the implicit decoder where it has a learning rate."""
        networks: dict[str, tuple[nn.Module, float]] = {"denoiser": (self.model.denoiser, self.settings.lr)}
        if self.settings.decoder_lr:
            networks["decoder"] = (self._drawing_part, self.settings.decoder_lr)
        return networks

    @property
    def _drawing_part(self) -> nn.Module:
        """What of the decoder may learn: beside a branch, what reads the latent.

        Its drawing without a latent stays as it is.
        """
        decoder = self.model.space.autoencoder.decoder
        return decoder if decoder.branch is None else decoder.feature_decoder

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where its network is missing."""
        return self.image_loss.left_out

    def encode(self, images: Tensor) -> tuple[ImagePair, Tensor]:
        """Target, low-resolution image and condition of crops, and their normalised latents."""
        with torch.no_grad():
            return self.model.pair(images, self.shrink), self.model.space.encode(images)

    def image_losses(self, pair: ImagePair, latent: Tensor) -> Tensor:
        """The image loss of each sample, shape (batch,), at image size, in a random region of it."""
        height, width = pair.target.shape[-2:]
        space = self.model.space
        decoder = space.autoencoder.decoder
        patch_px = decoder.head.patch_px
        region = random_region((height, width), self.settings.decode_px, multiple=patch_px)
        target, size = crop(pair.target, region), (height, width)
        drawn, nll = decoder.learn(space.restore(latent), size, region, target, pair.low)
        losses = self.image_loss(drawn, target)
        if nll is not None:
            losses = losses + self.settings.nll_weight * nll
        if self.settings.grid_weight:
            latent_size = (latent.shape[-2], latent.shape[-1])
            pattern = grid_loss(drawn, latent_size, size, region)
            losses = losses + self.settings.grid_weight * pattern
        return losses

    def validate(self, images: Tensor) -> Validation:
        """Pictures and quality of a short chain."""
        return preview(self.model, self.model.pair(images, self.shrink), self.sampling, {})


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
        start = process.start(normal_like(latent), pair.condition)
        noisy = process.add_noise(latent, start, timestep)
        prediction = self.model.denoiser(noisy, timestep, pair.condition)
        estimate = process.estimate_latent(prediction, noisy, timestep)
        weight = clamped_snr_weight(process.snr(timestep), self.settings.weight_clamp)
        latent_loss = weighted_mean(weight, per_sample(estimate - latent, "l2"))
        image_loss = weighted_mean(weight, self.image_losses(pair, estimate))
        loss = self.settings.latent_weight * latent_loss + self.settings.image_weight * image_loss
        return {"loss": loss, "latent": latent_loss, "image": image_loss}


class SampleAlignment(AlignmentTraining):
    """lambda2 image(x0, decode(z_0)), z_0 drawn by a short chain, gradients through its last steps.

    Super-resolution starts from noise, as the condition determines the image. Generation has no condition,
    so its chain starts from the image's own latent, with the noise of the first step that has gradients.
    """

    def __init__(self, settings: AlignSettings, model: LatentDiffusion, weights_dir: str) -> None:
        samples = settings.samples
        super().__init__("align_samples", settings, samples.training, samples.sampling, model, weights_dir)
        self.gradient_steps = samples.gradient_steps

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """The image loss at the end of the chain; the latent's error is only recorded."""
        pair, latent = self.encode(images)
        start, first_step = normal_like(latent), 0
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
