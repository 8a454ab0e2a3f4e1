"""What the two alignment stages share: what learns, and the image loss through the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.align import AlignSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.latent_space import ImagePair
from arbiscale.losses.grid import grid_loss
from arbiscale.losses.image import ImageLoss
from arbiscale.regions import random_region
from arbiscale.training.module import TrainingModule, Validation
from arbiscale.training.previews import preview


class AlignmentTraining(TrainingModule):
    """A trained denoiser, aligned with the implicit decoder; the decoder learns too where it has a rate.

    Args:
        name: of the stage.
        settings: rates and weights of the losses.
        training: steps, batch, schedule.
        sampling: the chain that validations draw with.
        model: the trained model.
        weights_dir: where the LPIPS network lies.
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
        model.space.autoencoder.decoder.requires_grad_(settings.decoder_lr > 0)
        self.image_loss = ImageLoss(settings.image_norm, settings.lpips_weight, weights_dir)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The denoiser, and the implicit decoder where it has a rate."""
        networks: dict[str, tuple[nn.Module, float]] = {"denoiser": (self.model.denoiser, self.settings.lr)}
        if self.settings.decoder_lr:
            networks["decoder"] = (self.model.space.autoencoder.decoder, self.settings.decoder_lr)
        return networks

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where its network is not at hand."""
        return self.image_loss.left_out

    def encode(self, images: Tensor) -> tuple[ImagePair, Tensor]:
        """Target, base and condition of crops, and their normalised latents."""
        with torch.no_grad():
            return self.model.pair(images), self.model.space.encode(images)

    def image_losses(self, pair: ImagePair, latent: Tensor) -> Tensor:
        """The image loss of each sample, shape (batch,), at image size, in a random region of it."""
        height, width = pair.target.shape[-2:]
        region = random_region((height, width), self.settings.decode_px)
        part = pair.part(region)
        drawn = self.model.space.decode(latent, (height, width), region=region, base=part.base)
        losses = self.image_loss(drawn, part.target)
        if self.settings.grid_weight:
            latent_size = (latent.shape[-2], latent.shape[-1])
            pattern = grid_loss(drawn, latent_size, (height, width), region)
            losses = losses + self.settings.grid_weight * pattern
        return losses

    def validate(self, images: Tensor) -> Validation:
        """Pictures and quality of a short chain."""
        return preview(self.model, self.model.pair(images), self.sampling, {})
