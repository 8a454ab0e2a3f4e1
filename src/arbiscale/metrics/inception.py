"""Inception's features, in which FID, KID, precision and recall compare pictures."""

from __future__ import annotations

from io import BytesIO

import torch
from torch import Tensor, nn

from arbiscale.pretrained.files import INCEPTION, load_network

FEATURES = 2048
BATCH = 32  # pictures at a time: each is resized to 299 px

# The network of the FID paper (arXiv 1706.08500), converted from TensorFlow by torch-fidelity.


class Inception(nn.Module):
    """torch-fidelity's InceptionV3 up to its last average pooling; frozen."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """Build from torch-fidelity's state dict.

        Raises:
            RuntimeError: it is another network's.
        """
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        file = BytesIO()  # it unpickles its file without restrictions: it gets one that was written here
        torch.save(state, file)
        file.seek(0)
        with torch.random.fork_rng(devices=[]):  # it draws weights before it loads these
            self.network = FeatureExtractorInceptionV3(
                "inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=file
            )

    def forward(self, images: Tensor) -> Tensor:
        """Features of images.

        Args:
            images: shape (batch, 3, height, width), in [0, 1], taken as 8-bit values.

        Returns:
            Shape (batch, 2048); NaN for an image that holds NaN.
        """
        levels = images.nan_to_num(0).clamp(0, 1).mul(255).round().to(torch.uint8)
        features = torch.cat([self.network(part)[0] for part in levels.split(BATCH)])
        whole = images.isfinite().flatten(1).all(dim=1)
        return features.where(whole[:, None], torch.nan)


def load_inception(weights_dir: str = "") -> Inception:
    """Inception on the weights found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: the weights are nowhere here and cannot be downloaded; says what to do.
        UserError: the file found is another network's.
    """
    return load_network(INCEPTION, weights_dir, Inception)
