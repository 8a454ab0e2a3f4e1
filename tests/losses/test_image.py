import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from arbiscale.errors import UnavailableError
from arbiscale.losses import image
from arbiscale.losses.image import ImageLoss

TARGET = torch.zeros(2, 3, 4, 4)
DRAWN = torch.tensor([0.5, -2.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)


class Perceptual(nn.Module):
    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        return (drawn - target).amax((1, 2, 3)) + 10


def test_pixel_differences_by_sample() -> None:
    assert ImageLoss("l1", 0.0, "")(DRAWN, TARGET).tolist() == [0.5, 2]
    assert ImageLoss("l2", 0.0, "")(DRAWN, TARGET).tolist() == [0.25, 4]


def test_without_weight_no_perceptual_network_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "load_lpips", lambda *_: pytest.fail("loaded"))
    loss = ImageLoss("l1", 0.0, "")
    assert loss.perceptual is None
    assert loss.left_out == []


def test_the_perceptual_term_is_weighted(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    monkeypatch.setattr(image, "load_lpips", lambda folder, _: folders.append(folder) or Perceptual())
    loss = ImageLoss("l1", 0.1, "networks")(DRAWN, TARGET)
    assert_close(loss, torch.tensor([0.5 + 0.1 * 10.5, 2 + 0.1 * 8.0]))
    assert folders == ["networks"]
    assert ImageLoss("l1", 0.1, "").left_out == []


def test_a_network_that_cannot_be_had_is_said_aloud_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(*_: object) -> nn.Module:
        raise UnavailableError("alexnet: not to be had; run `arbiscale weights`")

    monkeypatch.setattr(image, "load_lpips", unavailable)
    loss = ImageLoss("l2", 0.1, "")
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        "warning: training WITHOUT its LPIPS term: alexnet: not to be had; run `arbiscale weights`"
    )
    assert loss(DRAWN, TARGET).tolist() == [0.25, 4]
    assert loss.left_out == ["lpips"]


class Convolution(nn.Module):
    """Enough of LPIPS for autocast to change."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(3, 8, 3)

    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        return (self.features(drawn) - self.features(target)).square().mean((1, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setattr(image, "load_lpips", lambda *_: Convolution())
    loss = ImageLoss("l2", 0.1, "")
    drawn, target = torch.rand(2, 2, 3, 16, 16).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(drawn, target)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, loss(drawn.float(), target.float()))
