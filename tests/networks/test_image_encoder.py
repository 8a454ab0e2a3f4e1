"""EDSR and RRDB equal their definitions, at their published sizes too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from arbiscale.config.local_implicit import ImageEncoderSettings
from arbiscale.networks.image_encoder import ImageEncoder

TINY = {"edsr": {"width": 6, "blocks": 2}, "rrdb": {"width": 6, "blocks": 2, "growth": 4}}
PUBLISHED = {
    # Convolutions of 3 x 3 from 3 to 64 channels (1,792) and from 64 to 64 (36,928): 2 a block, and the last.
    "edsr": ({"width": 64, "blocks": 16}, 1_792 + 33 * 36_928),
    # ESRGAN's 16,697,987 parameters without its upsampling: three convolutions more, and one to colours.
    "rrdb": ({"width": 64, "blocks": 23, "growth": 32}, 16_697_987 - 3 * 36_928 - 1_731),
}


def encoder(kind: str) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(ImageEncoderSettings(kind=kind, **TINY[kind])).requires_grad_(False)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_sizes(kind: str) -> None:
    settings, expected = PUBLISHED[kind]
    with torch.device("meta"):
        published = ImageEncoder(ImageEncoderSettings(kind=kind, **settings))
        features = published(torch.empty(2, 3, 5, 7))
    assert sum(parameter.numel() for parameter in published.parameters()) == expected
    assert features.shape == (2, 64, 5, 7)


def edsr(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    shallow = convolved(weights, "stem", image)
    values = shallow
    for block in range(2):
        inner = convolved(weights, f"blocks.{block}.first", values).clamp(min=0)
        values = values + convolved(weights, f"blocks.{block}.second", inner)
    return shallow + convolved(weights, "last", values)


def rrdb(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    shallow = convolved(weights, "stem", image)
    values = shallow
    for block in range(2):
        inner = values
        for dense in range(3):
            known = [inner]
            for layer in range(5):
                name = f"blocks.{block}.blocks.{dense}.layers.{layer}"
                found = convolved(weights, name, torch.cat(known, dim=1))
                known.append(found if layer == 4 else torch.where(found > 0, found, 0.2 * found))
            inner = inner + 0.2 * known[-1]
        values = values + 0.2 * inner
    return shallow + convolved(weights, "last", values)


def convolved(weights: dict[str, Tensor], name: str, values: Tensor) -> Tensor:
    return functional.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


@pytest.mark.parametrize(("kind", "definition"), [("edsr", edsr), ("rrdb", rrdb)])
def test_features_are_the_definitions(
    kind: str, definition: Callable[[dict[str, Tensor], Tensor], Tensor]
) -> None:
    network, image = encoder(kind), torch.randn(2, 3, 6, 9)
    assert_close(network(image), definition(network.state_dict(), image))
