"""The image loss: pixel differences, and LPIPS where its network is available."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from torch import Tensor, nn

from arbiscale.errors import UnavailableError
from arbiscale.losses.reduction import in_float32, per_sample
from arbiscale.pretrained.lpips import ALEX, Backbone, load_lpips


class ImageLoss(nn.Module):
    """norm(difference) + lpips_weight * LPIPS, per sample."""

    def __init__(self, norm: Literal["l1", "l2"], lpips_weight: float, weights_dir: str) -> None:
        super().__init__()
        self.norm = norm
        self.lpips_weight = lpips_weight
        self.perceptual = load_perceptual(weights_dir) if lpips_weight else None

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where it has a weight and its network is missing."""
        return ["lpips"] if self.lpips_weight and self.perceptual is None else []

    @in_float32
    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        """Losses (batch,) of images (batch, 3, height, width) in [-1, 1]."""
        loss = per_sample(drawn - target, self.norm)
        if self.perceptual is not None:
            loss = loss + self.lpips_weight * self.perceptual(drawn, target)
        return loss


def load_perceptual(weights_dir: str, backbone: Backbone = ALEX) -> nn.Module | None:
    """The LPIPS network; None, with a warning, where it is not available."""
    try:
        return load_lpips(weights_dir, backbone)
    except UnavailableError as error:
        Console(stderr=True).print(
            f"[bold red]warning:[/] training WITHOUT its LPIPS term: {error}", highlight=False
        )
        return None
