"""NIQE: how far a picture's statistics are from natural pictures' (Mittal et al., IEEE SPL 2013)."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from arbiscale.metrics.musiq import INSTALL
from arbiscale.pretrained.files import NIQE as PARAMETERS
from arbiscale.pretrained.files import load_network
from arbiscale.pretrained.packages import optional_module
from arbiscale.pretrained.reading import load_arrays

BLOCK_PX = 96


class NIQE(nn.Module):
    """pyiqa's NIQE; less is more natural. On the CPU, as it computes in float64, which some devices lack.

    Attributes:
        least_px: the shortest side of an image that it takes.
    """

    least_px = 2 * BLOCK_PX  # a covariance needs several blocks

    def __init__(self, parameters: dict[str, Tensor], package: Any) -> None:
        """Build from the mean and the covariance of natural pictures' 36 features.

        Raises:
            KeyError: one is missing.
            RuntimeError: one has another shape.
        """
        super().__init__()
        mean, covariance = parameters["mu_pris_param"], parameters["cov_pris_param"]
        self._natural = {  # no buffers, so that they stay in float64 on the CPU
            "mu_pris_param": mean.double().reshape(1, 36),
            "cov_pris_param": covariance.double().reshape(36, 36),
        }
        self._niqe = package.calculate_niqe

    def forward(self, images: Tensor) -> Tensor:
        """NIQE of images (batch, 3, height, width) in [0, 1], (batch,); NaN of those without structure."""
        return torch.stack([self._one(image.cpu()) for image in images.split(1)]).to(images)

    def _one(self, image: Tensor) -> Tensor:
        try:
            with warnings.catch_warnings(action="ignore"):  # of the same
                found: Tensor = self._niqe(image, **self._natural)
        except RuntimeError:  # of linear algebra: no block has both positive and negative values
            return image.new_tensor(torch.nan)
        return found


def load_niqe(weights_dir: str = "") -> NIQE:
    """NIQE on the parameters found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: they are nowhere here and cannot be downloaded, or pyiqa is not installed.
        UserError: the file found holds something else.
    """
    package = optional_module("pyiqa.archs.niqe_arch", INSTALL)
    return load_network(PARAMETERS, weights_dir, partial(NIQE, package=package), load_arrays)
