"""The adversarial term of the first stage: a patch discriminator and hinge losses (arXiv 1705.02894)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from arbiscale.config.autoencoder import DiscriminatorSettings
from arbiscale.losses.reduction import in_float32


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


@in_float32
def generator_loss(discriminator: nn.Module, drawn: Tensor) -> Tensor:
    """How far drawn images (batch, 3, height, width) are from passing; the discriminator gets no gradient."""
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return -functional_call(discriminator, frozen, (drawn,)).mean()


@in_float32
def discriminator_loss(discriminator: nn.Module, real: Tensor, drawn: Tensor) -> Tensor:
    """Hinge loss of telling real from drawn; the drawn images get no gradient."""
    real_margin = functional.relu(1 - discriminator(real)).mean()
    drawn_margin = functional.relu(1 + discriminator(drawn.detach())).mean()
    return 0.5 * (real_margin + drawn_margin)
