"""The adversarial term of the first stage (hinge losses, arXiv 1705.02894)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


def generator_loss(discriminator: nn.Module, drawn: Tensor) -> Tensor:
    """How far drawn images (batch, 3, height, width) are from passing; the discriminator gets no gradient."""
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return -functional_call(discriminator, frozen, (drawn,)).mean()


def discriminator_loss(discriminator: nn.Module, real: Tensor, drawn: Tensor) -> Tensor:
    """Hinge loss of telling real from drawn; no gradient to the drawn images."""
    real_margin = functional.relu(1 - discriminator(real)).mean()
    drawn_margin = functional.relu(1 + discriminator(drawn.detach())).mean()
    return 0.5 * (real_margin + drawn_margin)
