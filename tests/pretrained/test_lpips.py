"""LPIPS: published values, the package's own forward pass, and gradients fit for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.pretrained import lpips
from arbiscale.pretrained.lpips import ALEX, LPIPS, VGG, Backbone, best_backbone, load_lpips

LAYERS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def random_features() -> dict[str, Tensor]:
    """AlexNet's convolutions with random weights, as a features-only state dict."""
    generator = torch.Generator().manual_seed(0)
    features = {}
    for index, (channels_out, channels_in, side) in LAYERS.items():
        shape = (channels_out, channels_in, side, side)
        features[f"features.{index}.weight"] = torch.randn(shape, generator=generator) * 0.05
        features[f"features.{index}.bias"] = torch.zeros(channels_out)
    return features


def read(path: Path) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


def test_reference_images_have_their_published_distances(shared: Path) -> None:
    distance = load_lpips(str(shared / "weights"))
    examples = shared / "weights" / "lpips_example"
    reference = read(examples / "ex_ref.png").expand(2, -1, -1, -1)
    distorted = torch.cat([read(examples / "ex_p0.png"), read(examples / "ex_p1.png")])
    with torch.no_grad():
        assert distance(reference, distorted).tolist() == pytest.approx([0.7219, 0.1376], abs=5e-5)


@pytest.mark.filterwarnings("ignore:.*weights:UserWarning")
@pytest.mark.parametrize("backbone", [ALEX, VGG], ids=lambda backbone: backbone.name)
def test_equals_the_packages_own_forward_pass(backbone: Backbone, vgg16: dict[str, Tensor]) -> None:
    import lpips

    features = random_features() if backbone is ALEX else vgg16
    own = LPIPS(features, backbone)
    package = lpips.LPIPS(net=backbone.name, pnet_rand=True, verbose=False)
    for number in range(1, 6):
        part = getattr(package.net, f"slice{number}")
        part.load_state_dict({key: features[f"features.{key}"] for key in part.state_dict()})
    a, b = torch.rand(2, 3, 3, 64, 80, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(own(a, b), package(a, b).flatten())
        assert own(a, a).tolist() == [0, 0, 0]
        smallest = backbone.least_px
        assert own(a[..., :smallest, :smallest], b[..., :smallest, :smallest]).isfinite().all()


def test_gradients_reach_the_image_alone_and_stay_finite_on_flat_images() -> None:
    distance = LPIPS(random_features()).train()
    image = torch.zeros(2, 3, 64, 64, requires_grad=True)
    with torch.no_grad():
        before = distance(image, torch.ones(2, 3, 64, 64))
    loss = distance(image, torch.ones(2, 3, 64, 64))
    assert torch.equal(loss, before), "dropout must stay off in training"
    loss.sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0
    assert all(not parameter.requires_grad for parameter in distance.parameters())


def test_pixels_without_any_feature_give_no_nan() -> None:
    features = {key: torch.zeros_like(value) for key, value in random_features().items()}
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    loss = LPIPS(features)(image, torch.zeros(1, 3, 64, 64))
    loss.sum().backward()
    assert loss.item() == 0
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_construction_is_quiet_and_leaves_the_random_numbers_alone(capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    LPIPS(random_features())
    assert torch.equal(torch.rand(4), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("classifier", [{}, {"classifier.6.bias": torch.zeros(1000)}])
def test_loads_features_alone_and_the_whole_classifier(tmp_path: Path, classifier: dict[str, Tensor]) -> None:
    features = random_features()
    torch.save(features | classifier, tmp_path / "alexnet_features.pt")
    loaded = load_lpips(str(tmp_path))
    assert torch.equal(loaded.slices[4].state_dict()["10.weight"], features["features.10.weight"])


def test_vgg_is_preferred_where_it_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, backbone in ((None, ALEX), (Path("vgg16_features.pt"), VGG)):
        monkeypatch.setattr(lpips, "locate", lambda network, folder, found=found: found)
        assert best_backbone("weights") == backbone


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_another_networks_file_is_refused_by_name(tmp_path: Path, change: str) -> None:
    features = random_features()
    if change == "missing":
        del features["features.8.weight"]
    else:
        features["features.8.weight"] = torch.zeros(2, 2)
    torch.save(features, tmp_path / "alexnet_features.pt")
    with pytest.raises(UserError, match=r"alexnet_features\.pt: is not AlexNet") as caught:
        load_lpips(str(tmp_path))
    assert "\n" not in str(caught.value)
