"""A patch discriminator for the first stage's adversarial term."""

from __future__ import annotations

from torch import Tensor, nn

from arbiscale.config.autoencoder import DiscriminatorSettings


class PatchDiscriminator(nn.Sequential):
    """Real or drawn, patch by patch (pix2pix, arXiv 1611.07004), with group instead of batch norm."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        width = settings.width
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(settings.layers - 1):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, 2 * width),
                nn.LeakyReLU(0.2),
            ]
            width *= 2
        super().__init__(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (batch, 1, rows, columns), positive for real, of images (batch, 3, height, width)."""
        return super().forward(image)
