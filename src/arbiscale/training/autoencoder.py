"""Training of the first stage: encoder and implicit decoder, on targets of random size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderSettings
from arbiscale.imaging.coordinates import crop, random_region
from arbiscale.imaging.draws import uniform
from arbiscale.imaging.resize import resize, shrink
from arbiscale.imaging.sheets import comparison
from arbiscale.losses.adversarial import PatchDiscriminator, discriminator_loss, generator_loss
from arbiscale.losses.grid import grid_loss
from arbiscale.losses.image import ImageLoss
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.training.module import TrainingModule, Validation, mean_psnr


class AutoencoderTraining(TrainingModule):
    """Reconstruction at a random size for each batch: L1 and optional grid, KL, LPIPS, adversarial terms."""

    def __init__(self, settings: AutoencoderSettings, factor: int, weights_dir: str) -> None:
        super().__init__("autoencoder", settings.training)
        self.settings = settings
        self.factor = factor
        self.autoencoder = Autoencoder(settings.network)
        self.image_loss = ImageLoss("l1", settings.lpips_weight, weights_dir)
        adversarial = settings.adversarial_weight > 0
        self.discriminator = PatchDiscriminator(settings.discriminator) if adversarial else None

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The autoencoder, and the discriminator where the settings have one."""
        networks: dict[str, tuple[nn.Module, float]] = {"autoencoder": (self.autoencoder, self.settings.lr)}
        if self.discriminator is not None:
            networks["discriminator"] = (self.discriminator, self.settings.lr)
        return networks

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where its network is missing."""
        return self.image_loss.left_out

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """All terms; the target is antialiased, and only a region of it is decoded and compared."""
        least, most = self.settings.target_px
        side = int(torch.randint(least, most + 1, ()))
        patch_px = self.autoencoder.decoder.head.patch_px
        region = random_region((side, side), self.settings.decode_px, multiple=patch_px)
        target = crop(resize(images, (side, side)), region)
        size, decoder, low = (side, side), self.autoencoder.decoder, self._low(images)
        posterior = None if self.settings.latent_dropout == 1 else self.autoencoder.encode(images)
        latent = None if posterior is None else posterior.sample()
        kept = self._kept(len(images), images.device)
        drawn, nll = decoder.learn(latent, size, region, target, low, kept)
        losses = {"image": self.image_loss(drawn, target).mean()}
        loss = losses["image"]
        if nll is not None:
            losses["nll"] = nll.mean()
            loss = loss + self.settings.nll_weight * losses["nll"]
        if self.settings.grid_weight:
            downsampling = self.autoencoder.downsampling
            latent_size = (images.shape[-2] // downsampling, images.shape[-1] // downsampling)
            losses["grid"] = grid_loss(drawn, latent_size, size, region).mean()
            loss = loss + self.settings.grid_weight * losses["grid"]
        if self.settings.kl_weight and posterior is not None:
            losses["kl"] = posterior.kl().mean()
            loss = loss + self.settings.kl_weight * losses["kl"]
        if self.discriminator is not None and self.global_step >= self.settings.discriminator.start_step:
            losses["generator"] = generator_loss(self.discriminator, drawn)
            losses["discriminator"] = discriminator_loss(self.discriminator, target, drawn)
            loss = loss + self.settings.adversarial_weight * losses["generator"] + losses["discriminator"]
        return {"loss": loss, **losses}

    def validate(self, images: Tensor) -> Validation:
        """Reconstruction at the images' own size."""
        side = images.shape[-1]
        latent, low = self.autoencoder.encode(images).mode(), self._low(images)
        drawn = self.autoencoder.decode(latent, (side, side), low=low)
        metrics = {"psnr": mean_psnr(drawn.clamp(-1, 1), images)}
        if self.autoencoder.decoder.branch is None:
            return Validation(metrics, {"reconstruction": comparison([drawn, images])})
        known = self.autoencoder.decode(None, (side, side), low=low)
        metrics["psnr_without_latent"] = mean_psnr(known.clamp(-1, 1), images)
        return Validation(metrics, {"reconstruction": comparison([known, drawn, images])})

    def _low(self, images: Tensor) -> Tensor | None:
        """The low-resolution images, where the decoder reads them."""
        return shrink(images, self.factor) if self.settings.network.reads_picture else None

    def _kept(self, count: int, device: torch.device) -> Tensor | None:
        """1 for samples whose latent is read, 0 for the others, shape (count,); None = all are."""
        share = self.settings.latent_dropout
        return (uniform(count, device) >= share).float() if share else None
