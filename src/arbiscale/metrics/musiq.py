"""MUSIQ, the quality of a picture as a transformer has learned it from people (arXiv 2108.05997)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from arbiscale.pretrained.files import MUSIQ as WEIGHTS
from arbiscale.pretrained.files import load_network
from arbiscale.pretrained.packages import optional_module

INSTALL = "pip install --no-deps pyiqa"  # what this needs of its dependencies is in the extra `train`


class MUSIQ(nn.Module):
    """pyiqa's network, trained on KonIQ-10k; about 0 to 100, more is better.

    Attributes:
        least_px: the shortest side of an image that it takes.
    """

    least_px = 32  # a patch

    def __init__(self, state: dict[str, Tensor], package: Any) -> None:
        """Build from pyiqa's state dict.

        Raises:
            RuntimeError: it is another network's.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # it draws weights before it gets these
            self.network = package.MUSIQ(pretrained=False)
        self.network.load_state_dict(state)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Scores of images (batch, 3, height, width) in [0, 1], shape (batch,)."""
        return self.network(images)[:, 0]


def load_musiq(weights_dir: str = "") -> MUSIQ:
    """MUSIQ on the weights found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: they are nowhere here and cannot be downloaded, or pyiqa is not installed.
        UserError: the file found is another network's.
    """
    package = optional_module("pyiqa.archs.musiq_arch", INSTALL)
    return load_network(WEIGHTS, weights_dir, partial(MUSIQ, package=package))
