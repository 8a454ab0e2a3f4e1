"""The protocol `generation`: sets of known pictures have known numbers at every size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.evaluation import references, sets
from arbiscale.evaluation.held_out import HeldOutData
from arbiscale.evaluation.networks import MetricNetworks, load_metric_networks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.plan import Subject
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.sets import METRICS, Features
from arbiscale.evaluation.store import Scratch
from arbiscale.evaluation.suite import evaluate_models
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_tensor
from tests.stand_ins import NO_NETWORKS, FirstValues, StandIn, texture

Evaluate = Callable[..., Evaluation]
FEATURES = 4
CROPS = [texture(32, seed) for seed in range(12)]
WHOLE, HALF = (32, 32), (16, 16)
NAMES = [f"picture {number}" for number in range(60)]
SEEDS = noise_seeds(0, NAMES)


class Parrot(StandIn):
    """Draws the training crops, one after the other; `error` is added to them."""

    def generate_latents(self, count: int, latent_size: Size, *, seed: Sequence[int]) -> Tensor:
        chosen = [CROPS[SEEDS.index(own) % len(CROPS)] for own in seed]
        return self.encode(torch.cat([to_tensor(crop) for crop in chosen]) + self.error)


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch) -> FirstValues:
    for module in (sets, references):
        monkeypatch.setattr(module, "FEATURES", FEATURES)
    return FirstValues(FEATURES)


@pytest.fixture
def evaluate(tmp_path: Path, evaluate_settings: Callable[..., EvaluateSettings]) -> Callable[..., Evaluation]:
    """Evaluates the parrot, spoiled by `error`, and the parrot as it is."""

    def run(
        networks: MetricNetworks,
        *,
        error: float = 0.0,
        count: int = 12,
        crops: list[NDArray[np.uint8]] = CROPS,
        sizes: tuple[Size, ...] = (WHOLE, HALF),
        folder: str = "scratch",
    ) -> Evaluation:
        models: Any = {"diffusion": Parrot("generation", error), "aligned": Parrot("generation")}
        settings = evaluate_settings(
            protocols=["generation"],
            generation_sizes=[f"{height}x{width}" for height, width in sizes],
            generation_count=count,
        )
        by_size = {(each.shape[0], each.shape[1]): crops for each in crops[:1]}
        data = HeldOutData([], training_crops=by_size)
        return evaluate_models(Subject(models, data, settings, 0, networks), Scratch(tmp_path / folder))

    return run


def test_the_training_crops_themselves_are_the_same_set_at_every_size(
    evaluate: Evaluate, inception: FirstValues
) -> None:
    means = evaluate(MetricNetworks({}, inception)).means()
    assert list(means) == ["generation/32x32", "generation/16x16"]
    for size, rows in means.items():
        assert list(rows) == ["diffusion", "aligned"]
        for row in rows.values():
            assert row["fid"] == pytest.approx(0, abs=1e-6)
            assert row["kid"] < 0.01
            assert (row["precision"], row["recall"]) == (1, 1)
            assert row["self_ssim"] == pytest.approx(1, abs=1e-3)
            assert row["fps"] > 0
            assert ("grid_energy" in row) == (size == "generation/32x32")


def test_another_set_is_far_away_while_the_next_row_is_not(
    evaluate: Evaluate, inception: FirstValues
) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), error=-10.0)  # black
    rows = evaluation.means()["generation/32x32"]
    first = torch.stack([to_tensor(crop).flatten()[:FEATURES] for crop in CROPS]).add(1).div(2)
    expected = first.mean(dim=0).square().sum() + first.T.cov().trace()  # of a constant at 0
    assert rows["diffusion"]["fid"] == pytest.approx(expected.item(), rel=1e-4)
    assert rows["diffusion"]["recall"] == 0
    assert rows["aligned"]["fid"] == pytest.approx(0, abs=1e-6)


def test_features_are_extracted_once_and_again_only_of_what_was_not_done(
    evaluate: Evaluate, inception: FirstValues
) -> None:
    networks = MetricNetworks({}, inception)
    once = evaluate(networks)
    assert inception.images == 2 * 12 * 2 + 2 * 12  # two rows at two sizes, and the crops at two sizes
    again = evaluate(networks)  # in the same folder, where everything is
    assert inception.images == 2 * 12 * 2 + 2 * 2 * 12
    assert again.sets == once.sets
    assert str(again.scores) == str(once.scores)


def test_features_of_several_processes_are_read_as_one(tmp_path: Path, inception: FirstValues) -> None:
    features: Any = [Features(tmp_path, 4, inception, process) for process in range(2)]
    shown = torch.rand(4, 3, 2, 2)
    features[1].add([0, 3], shown[[0, 3]])
    features[0].add([1, 2], shown[[1, 2]])
    features[0].add([3], shown[[3]])  # done by both: one was killed before it said so
    assert torch.equal(features[0].read(), shown.flatten(1)[:, :FEATURES])


def test_every_picture_is_in_the_table_and_six_are_kept_to_look_at(
    evaluate: Evaluate, inception: FirstValues
) -> None:
    evaluation = evaluate(MetricNetworks({}, inception))
    assert len(evaluation.scores) == 2 * 2 * 12
    assert list(evaluation.comparisons) == ["generation/diffusion", "generation/aligned"]
    kept = evaluation.comparisons["generation/diffusion"]
    assert len(kept) == 6
    assert list(kept[1].pictures) == ["32x32", "16x16", "nearest training crop"]
    assert np.array_equal(kept[1].pictures["32x32"], CROPS[1])


def test_without_inception_the_rest_of_the_table_stands(evaluate: Evaluate) -> None:
    evaluation = evaluate(NO_NETWORKS)
    row = evaluation.means()["generation/16x16"]["diffusion"]
    assert not {*METRICS} & {*row}
    assert row["self_ssim"] == pytest.approx(1, abs=1e-3)
    assert evaluation.problems() == []  # the networks report themselves what is missing


@pytest.mark.parametrize(("count", "crops"), [(3, 12), (12, 3), (12, 0)])
def test_too_few_pictures_are_not_compared(
    evaluate: Evaluate, inception: FirstValues, count: int, crops: int
) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), count=count, crops=CROPS[:crops])
    row = evaluation.means()["generation/32x32"]["diffusion"]
    assert not {*METRICS} & {*row}
    assert "self_ssim" in row
    assert evaluation.problems() == [
        "generation: fid, kid, precision and recall are not measured: they need at least 4 pictures on "
        f"either side (got {count} generated pictures and {crops} training crops); raise "
        "evaluate.generation_count"
    ]
    assert inception.images == 0


def test_enlarged_crops_are_no_reference_and_few_make_fid_too_high(
    evaluate: Evaluate, inception: FirstValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "FEATURES", 12)
    monkeypatch.setattr(references, "FEATURES", 12)
    inception.features = 12
    evaluation = evaluate(MetricNetworks({}, inception), sizes=(WHOLE, (24, 40)))
    means = evaluation.means()
    assert "fid" not in means["generation/24x40"]["diffusion"]
    assert "fid" in means["generation/32x32"]["diffusion"]
    assert evaluation.problems() == [
        "generation/32x32: fid of 12 generated pictures and 12 training crops is too high, and comparable "
        "at equal numbers only; more than 12 on either side fix it",
        "generation/24x40: fid, kid, precision and recall are not measured: the training crops are smaller; "
        "raise data.crop.size_px",
    ]


def test_pictures_with_nan_leave_the_other_rows_intact(evaluate: Evaluate, inception: FirstValues) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), error=torch.nan)
    rows = evaluation.means()["generation/32x32"]
    assert "fid" not in rows["diffusion"]
    assert rows["aligned"]["fid"] == pytest.approx(0, abs=1e-6)
    assert "generation/32x32/diffusion: 12 of 12 pictures hold NaN or infinity" in evaluation.problems()


def test_the_whole_path_through_inception(evaluate: Evaluate, inception_folder: Path) -> None:
    networks = load_metric_networks([], str(inception_folder), torch.device("cpu"), sets=METRICS)
    assert networks.unavailable == ()
    row = evaluate(networks, sizes=(HALF,)).means()["generation/16x16"]["diffusion"]
    assert row["fid"] == pytest.approx(0, abs=1e-3)
