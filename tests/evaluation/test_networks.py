"""Networks behind metrics: a column for each; where one is missing the column is empty and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from arbiscale.errors import UnavailableError, UserError
from arbiscale.evaluation import networks
from arbiscale.evaluation.networks import MetricNetworks, load_metric_networks
from arbiscale.metrics.structure_texture import DISTS
from arbiscale.pretrained.lpips import LPIPS, VGG

CPU = torch.device("cpu")


def test_every_column_has_its_network(vgg16: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(vgg16, tmp_path / "vgg16_features.pt")
    found = load_metric_networks(["dists", "lpips_vgg"], str(tmp_path), CPU)
    assert [(column, type(each)) for column, each in found.perceptual.items()] == [
        ("dists", DISTS),
        ("lpips_vgg", LPIPS),
    ]
    assert found.unavailable == ()
    assert found.left_out == []
    a, b = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kept = {column: [*features] for column, features in found.features(b).items()}
    distances = found.distances(a, kept)
    assert torch.equal(distances["lpips_vgg"], LPIPS(vgg16, VGG)(a * 2 - 1, b * 2 - 1))
    assert torch.equal(distances["dists"], DISTS(vgg16)(a * 2 - 1, b * 2 - 1))


def test_what_cannot_be_had_leaves_an_empty_column_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(weights_dir: str) -> LPIPS:
        raise UnavailableError(f"Net weights: none found in {weights_dir}; put net.pt there")

    monkeypatch.setitem(networks._PERCEPTUAL, "lpips", absent)
    found = load_metric_networks(["lpips"], "folder", CPU)
    assert found.perceptual == {"lpips": None}
    assert found.left_out == ["lpips"]
    assert found.unavailable == (
        "lpips is not measured: Net weights: none found in folder; put net.pt there",
    )
    assert found.distances(torch.rand(2, 3, 64, 64), {})["lpips"].isnan().all()
    assert found.least_px == {}


def test_a_damaged_file_stops_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "vgg16_features.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"vgg16_features\.pt: is not a file of network weights"):
        load_metric_networks(["dists"], str(tmp_path), CPU)


def test_pictures_too_small_for_a_network_have_no_distance(vgg16: dict[str, Tensor]) -> None:
    found = MetricNetworks({"dists": DISTS(vgg16)})
    assert found.least_px == {"dists": 16}
    small = torch.rand(2, 3, 15, 64)
    assert found.distances(small, found.features(small))["dists"].isnan().all()


def test_inception_is_looked_for_only_where_sets_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(weights_dir: str) -> LPIPS:
        raise UnavailableError("Inception weights: none found")

    monkeypatch.setattr(networks, "load_inception", absent)
    assert load_metric_networks([], "", CPU) == MetricNetworks()
    asked = load_metric_networks([], "", CPU, sets=["fid", "kid", "recall"])
    assert asked.inception is None
    assert asked.unavailable == ("fid, kid and recall are not measured: Inception weights: none found",)


class Redness(nn.Module):
    least_px = 20

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].mean(dim=(1, 2))


def test_what_needs_no_truth_judges_every_image_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(weights_dir: str) -> Redness:
        raise UnavailableError("pyiqa is not installed; run `pip install it`")

    monkeypatch.setitem(networks._NO_REFERENCE, "niqe", absent)
    monkeypatch.setitem(networks._NO_REFERENCE, "musiq", lambda weights_dir: Redness())
    found = load_metric_networks([], "", CPU, no_reference=["niqe", "musiq"])
    assert found.unavailable == ("niqe is not measured: pyiqa is not installed; run `pip install it`",)
    assert (found.left_out, found.least_px) == (["niqe"], {"musiq": 20})
    images = torch.stack([torch.full((3, 20, 24), 0.25), torch.full((3, 20, 24), torch.nan)])
    judged = found.judge(images)
    assert judged["niqe"].isnan().all()
    assert judged["musiq"][0] == 0.25
    assert judged["musiq"][1].isnan()
    assert found.judge(images[..., :19])["musiq"].isnan().all()
