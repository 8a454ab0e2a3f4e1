"""DISTS against torchmetrics' own network, on the same random weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.metrics.structure_texture import DISTS, load_dists


def pair(side_px: int = 40) -> tuple[Tensor, Tensor]:
    a, noise = torch.rand(2, 2, 3, side_px, side_px + 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return a, (0.8 * a + 0.2 * noise)


def test_equals_torchmetrics_network(vgg16: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional.image import dists
    from torchvision.models.vgg import cfgs, make_layers

    layers = make_layers(cfgs["D"])
    layers.load_state_dict({key.removeprefix("features."): value for key, value in vgg16.items()})
    monkeypatch.setattr(dists, "vgg16", lambda weights: SimpleNamespace(features=layers))
    a, b = pair()
    expected = dists.DISTSNetwork()((a + 1) / 2, (b + 1) / 2)
    found = DISTS(vgg16)(a, b)
    assert expected.min() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_equal_images_have_no_distance_and_one_image_is_a_batch(vgg16: dict[str, Tensor]) -> None:
    (a, b), distance = pair(16), DISTS(vgg16)
    assert distance(a, a).tolist() == pytest.approx([0, 0], abs=1e-5)
    torch.testing.assert_close(distance(a[:1], b[:1]), distance(a, b)[:1])


def test_nan_is_no_distance(vgg16: dict[str, Tensor]) -> None:
    a, b = pair(16)
    a[0, 0, 0, 0] = torch.nan
    assert DISTS(vgg16)(a, b).isnan().tolist() == [True, False]


def test_loads_from_a_folder_and_refuses_another_networks_file(
    vgg16: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "vgg16_features.pt"
    torch.save(vgg16 | {"classifier.0.bias": torch.zeros(3)}, path)
    a, b = pair(16)
    assert torch.equal(load_dists(str(tmp_path))(a, b), DISTS(vgg16)(a, b))
    torch.save(vgg16 | {"features.28.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(
        UserError, match=r"vgg16_features\.pt: is not VGG16 \(.*\); remove it and fetch it again"
    ):
        load_dists(str(tmp_path))
