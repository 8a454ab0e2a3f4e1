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
    monkeypatch.setattr(image, "load_lpips", lambda folder: pytest.fail("loaded"))
    loss = ImageLoss("l1", 0.0, "")
    assert loss.perceptual is None
    assert loss.left_out == []


def test_the_perceptual_term_is_weighted(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    monkeypatch.setattr(image, "load_lpips", lambda folder: folders.append(folder) or Perceptual())
    loss = ImageLoss("l1", 0.1, "networks")(DRAWN, TARGET)
    assert_close(loss, torch.tensor([0.5 + 0.1 * 10.5, 2 + 0.1 * 8.0]))
    assert folders == ["networks"]
    assert ImageLoss("l1", 0.1, "").left_out == []


def test_a_network_that_cannot_be_had_is_said_aloud_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(folder: str) -> nn.Module:
        raise UnavailableError("alexnet: not to be had; run `arbiscale weights`")

    monkeypatch.setattr(image, "load_lpips", unavailable)
    loss = ImageLoss("l2", 0.1, "")
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        "warning: training WITHOUT its LPIPS term: alexnet: not to be had; run `arbiscale weights`"
    )
    assert loss(DRAWN, TARGET).tolist() == [0.25, 4]
    assert loss.left_out == ["lpips"]
