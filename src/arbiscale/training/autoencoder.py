"""Training of the first stage: encoder and implicit decoder, on targets of random size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderSettings
from arbiscale.imaging.coordinates import Region, Size, crop, random_region
from arbiscale.imaging.resize import resize
from arbiscale.imaging.sheets import comparison
from arbiscale.losses.grid import grid_loss
from arbiscale.losses.image import ImageLoss
from arbiscale.losses.reduction import per_sample
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.training.module import TrainingModule, Validation, mean_psnr


class AutoencoderTraining(TrainingModule):
    """Reconstruction at a random size for each batch: L1 and optional grid, KL and LPIPS terms."""

    def __init__(self, settings: AutoencoderSettings, factor: int, weights_dir: str) -> None:
        super().__init__("autoencoder", settings.training)
        self.settings = settings
        self.factor = factor
        self.autoencoder = Autoencoder(settings.network)
        self.image_loss = ImageLoss("l1", settings.lpips_weight, weights_dir)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """The autoencoder."""
        return {"autoencoder": (self.autoencoder, self.settings.lr)}

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where its network is missing."""
        return self.image_loss.left_out

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """All terms of a reconstruction, or, in a share of the steps, of a drawing without latents."""
        least, most = self.settings.target_px
        size = _scaled(images, int(torch.randint(least, most + 1, ())))
        share = self.settings.latent_dropout
        if share and float(torch.rand(())) < share:
            return self._known(images, size)
        fine = resize(images, size)  # antialiased
        region = self._region(fine)
        target, posterior = crop(fine, region), self.autoencoder.encode(images)
        drawn, losses = self._drawn(size, region, target, posterior.sample(), self._low(images))
        losses["image"] = self.image_loss(drawn, target).mean()
        loss = losses.pop("loss") + losses["image"]
        if self.settings.kl_weight:
            losses["kl"] = posterior.kl().mean()
            loss = loss + self.settings.kl_weight * losses["kl"]
        return {"loss": loss, **losses}

    def _known(self, images: Tensor, size: Size) -> dict[str, Tensor]:
        """Terms of drawings from the branch alone, learned as LIIF is (arXiv 2012.09161, section 4).

        The low-resolution images are made from the target, as a photograph is from what its enlargement
        should be. Shrinking both from one crop would blur the target as well.
        """
        height, width = images.shape[-2:]
        fine = crop(images, random_region((height, width), size))
        low = self.shrink(fine, (height // self.factor, width // self.factor))
        region = self._region(fine)
        target = crop(fine, region)
        drawn, losses = self._drawn(size, region, target, None, low)
        losses["known"] = per_sample(drawn - target, "l1").mean()
        return {"loss": losses.pop("loss") + losses["known"], **losses}

    def _region(self, fine: Tensor) -> Region:
        """What is decoded and compared."""
        size, patch_px = (fine.shape[-2], fine.shape[-1]), self.autoencoder.decoder.head.patch_px
        return random_region(size, self.settings.decode_px, multiple=patch_px)

    def _drawn(
        self, size: Size, region: Region, target: Tensor, latent: Tensor | None, low: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A region drawn, and the terms that every drawing has; `loss` is their weighted sum."""
        drawn, nll = self.autoencoder.decoder.learn(latent, size, region, target, low)
        losses = {"loss": drawn.new_zeros(())}
        if nll is not None:
            losses["nll"] = nll.mean()
            losses["loss"] = losses["loss"] + self.settings.nll_weight * losses["nll"]
        read = low if latent is None else latent
        if self.settings.grid_weight and read is not None:
            losses["grid"] = grid_loss(drawn, (read.shape[-2], read.shape[-1]), size, region).mean()
            losses["loss"] = losses["loss"] + self.settings.grid_weight * losses["grid"]
        return drawn, losses

    def validate(self, images: Tensor) -> Validation:
        """Reconstruction at the images' own size."""
        size = (images.shape[-2], images.shape[-1])
        latent, low = self.autoencoder.encode(images).mode(), self._low(images)
        drawn = self.autoencoder.decode(latent, size, low=low)
        metrics = {"psnr": mean_psnr(drawn.clamp(-1, 1), images)}
        if self.autoencoder.decoder.branch is None:
            return Validation(metrics, {"reconstruction": comparison([drawn, images])})
        known = self.autoencoder.decode(None, size, low=low)
        metrics["psnr_without_latent"] = mean_psnr(known.clamp(-1, 1), images)
        return Validation(metrics, {"reconstruction": comparison([known, drawn, images])})

    def _low(self, images: Tensor) -> Tensor | None:
        """The low-resolution images, where the decoder reads them."""
        if not self.settings.network.reads_picture:
            return None
        height, width = images.shape[-2:]
        return self.shrink(images, (height // self.factor, width // self.factor))


def _scaled(images: Tensor, side: int) -> Size:
    """(height, width) of the images, (batch, 3, height, width), scaled until the shorter is `side`."""
    height, width = images.shape[-2:]
    shorter = min(height, width)
    return (round(height * side / shorter), round(width * side / shorter))
