"""CLIP-IQA, whether a picture is nearer to "Good photo." than to "Bad photo." (arXiv 2207.12396)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.pretrained.files import CLIP as WEIGHTS
from arbiscale.pretrained.files import load_network
from arbiscale.pretrained.packages import optional_module
from arbiscale.pretrained.reading import load_scripted

_GOOD, _BAD = (49406, 886, 1125, 269, 49407), (49406, 2103, 1125, 269, 49407)  # tokens of CLIP's vocabulary
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's


class ClipIqa(nn.Module):
    """The share of the good prompt on piq's CLIP, a ResNet-50 without its positions: 0 to 1, more is better.

    piq's own metric is not used, as it cannot be built without downloading.

    Attributes:
        least_px: the shortest side of an image that it takes.
    """

    least_px = 32  # the side that it reduces to one feature
    prompts: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, state: dict[str, Tensor], package: Any) -> None:
        """Build from CLIP's state dict.

        Raises:
            KeyError: tensors are missing.
            RuntimeError: it is another network's.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # it draws weights before it gets these
            network = package.build_model(dict(state)).float()
        tokens = torch.zeros(2, network.context_length, dtype=torch.long)
        tokens[:, : len(_GOOD)] = torch.tensor([_GOOD, _BAD])
        with torch.no_grad():
            prompts = functional.normalize(network.encode_text(tokens)) * network.logit_scale.exp()
        self.network = network.visual
        self.register_buffer("prompts", prompts)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Scores of images (batch, 3, height, width) in [0, 1], shape (batch,)."""
        seen = self.network((images - self.mean) / self.deviation, pos_embedding=False)
        return (functional.normalize(seen) @ self.prompts.T).softmax(dim=1)[:, 0]


def load_clip_iqa(weights_dir: str = "") -> ClipIqa:
    """CLIP-IQA on the weights found for `weights_dir` (see arbiscale.pretrained.files), else downloaded.

    Raises:
        UnavailableError: they are nowhere here and cannot be downloaded, or piq is not installed.
        UserError: the file found is another network's.
    """
    package = optional_module("piq.feature_extractors.clip", "pip install 'arbiscale[no-reference]'")
    return load_network(WEIGHTS, weights_dir, partial(ClipIqa, package=package), load_scripted)
