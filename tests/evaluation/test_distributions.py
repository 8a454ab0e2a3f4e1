"""The protocol `generation`: sets of known pictures have known numbers at every size."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.evaluation import distributions, pictures, references
from arbiscale.evaluation.distributions import METRICS, evaluate_distributions
from arbiscale.evaluation.networks import MetricNetworks, load_metric_networks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_tensor
from tests.stand_ins import NO_NETWORKS, FirstValues, StandIn, texture

FEATURES = 4
CROPS = [texture(32, seed) for seed in range(12)]
WHOLE, HALF = (32, 32), (16, 16)
NAMES = [f"seed 0, picture {number}" for number in range(60)]
SEEDS = noise_seeds(0, NAMES)


class Parrot(StandIn):
    """Draws the training crops, one after the other; `error` is added to them."""

    def generate_latents(self, count: int, latent_size: Size, *, seed: Sequence[int]) -> Tensor:
        chosen = [CROPS[SEEDS.index(own) % len(CROPS)] for own in seed]
        return self.encode(torch.cat([to_tensor(crop) for crop in chosen]) + self.error)


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch) -> FirstValues:
    for module in (distributions, references):
        monkeypatch.setattr(module, "FEATURES", FEATURES)
    return FirstValues(FEATURES)


def evaluate(
    networks: MetricNetworks,
    *,
    error: float = 0.0,
    count: int = 12,
    crops: list[NDArray[np.uint8]] = CROPS,
    sizes: tuple[Size, ...] = (WHOLE, HALF),
) -> Evaluation:
    models: Any = {"diffusion": Parrot("generation", error), "aligned": Parrot("generation")}
    return evaluate_distributions(models, crops, sizes, count=count, seed=0, networks=networks)


def test_the_training_crops_themselves_are_the_same_set_at_every_size(inception: FirstValues) -> None:
    means = evaluate(MetricNetworks({}, inception)).means()
    assert list(means) == ["generation/32x32", "generation/16x16"]
    for rows in means.values():
        assert list(rows) == ["diffusion", "aligned"]
        for row in rows.values():
            assert row["fid"] == pytest.approx(0, abs=1e-6)
            assert row["kid"] < 0.01
            assert (row["precision"], row["recall"]) == (1, 1)
            assert row["self_ssim"] == pytest.approx(1, abs=1e-3)
            assert row["fps"] > 0
            assert "grid_energy" in row


def test_another_set_is_far_away_while_the_next_row_is_not(inception: FirstValues) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), error=-10.0)  # black
    rows = evaluation.means()["generation/32x32"]
    first = torch.stack([to_tensor(crop).flatten()[:FEATURES] for crop in CROPS]).add(1).div(2)
    expected = first.mean(dim=0).square().sum() + first.T.cov().trace()  # of a constant at 0
    assert rows["diffusion"]["fid"] == pytest.approx(expected.item(), rel=1e-4)
    assert rows["diffusion"]["recall"] == 0
    assert rows["aligned"]["fid"] == pytest.approx(0, abs=1e-6)


def test_batches_change_nothing_and_features_are_extracted_once(
    inception: FirstValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = MetricNetworks({}, inception)
    at_once = evaluate(networks)
    assert inception.images == 2 * 12 * 2 + 2 * 12  # two rows at two sizes, and the crops at two sizes
    monkeypatch.setattr(pictures, "BATCH_PIXELS", 5 * 32 * 32)
    batched = evaluate(networks)
    for key, metrics in at_once.sets.items():
        assert batched.sets[key] == pytest.approx(metrics, abs=1e-9)
    assert [score.photograph for score in batched.scores if score.group == "generation/16x16"] == 2 * NAMES[
        :12
    ]


def test_pictures_are_not_kept_beyond_their_batch(
    inception: FirstValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class Watched(Parrot):
        def decode(self, latent: Tensor, size: Size, **others: Any) -> Tensor:
            images = super().decode(latent, size, **others).clone()
            drawn.append(weakref.ref(images))
            alive.append(sum(each() is not None for each in drawn))
            return images

    monkeypatch.setattr(pictures, "BATCH_PIXELS", 5 * 32 * 32)
    models: Any = {"diffusion": Watched("generation")}
    networks = MetricNetworks({}, inception)
    evaluate_distributions(models, CROPS, (WHOLE, HALF), count=60, seed=0, networks=networks)
    assert len(drawn) == 2 * 12
    assert max(alive) <= 2 * 2  # a batch at two sizes, and the one before


def test_the_same_twice(inception: FirstValues) -> None:
    networks = MetricNetworks({}, inception)
    once, again = (evaluate(networks, error=0.1, count=9) for _ in range(2))
    assert once.sets == again.sets
    assert str(once.scores) == str(again.scores)  # NaN, of grids too fine, is unequal to itself


def test_every_picture_is_in_the_table_and_six_are_kept_to_look_at(inception: FirstValues) -> None:
    evaluation = evaluate(MetricNetworks({}, inception))
    assert len(evaluation.scores) == 2 * 2 * 12
    assert list(evaluation.comparisons) == ["generation/diffusion", "generation/aligned"]
    kept = evaluation.comparisons["generation/diffusion"]
    assert len(kept) == 6
    assert list(kept[1].pictures) == ["32x32", "16x16"]
    assert np.array_equal(kept[1].pictures["32x32"], CROPS[1])


def test_without_inception_the_rest_of_the_table_stands() -> None:
    evaluation = evaluate(NO_NETWORKS)
    row = evaluation.means()["generation/16x16"]["diffusion"]
    assert [row[metric] for metric in METRICS] == [None] * 4
    assert row["self_ssim"] == pytest.approx(1, abs=1e-3)
    assert evaluation.problems() == []  # the networks report themselves what is missing


@pytest.mark.parametrize(("count", "crops"), [(3, 12), (12, 3), (12, 0)])
def test_too_few_pictures_are_not_compared(inception: FirstValues, count: int, crops: int) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), count=count, crops=CROPS[:crops])
    row = evaluation.means()["generation/32x32"]["diffusion"]
    assert [row[metric] for metric in METRICS] == [None] * 4
    assert row["self_ssim"] is not None
    assert evaluation.problems() == [
        "generation: fid, kid, precision and recall are not measured: they need at least 4 pictures on "
        f"either side (got {count} generated pictures and {crops} training crops); raise "
        "evaluate.generation_count"
    ]
    assert inception.images == 0


def test_enlarged_crops_are_no_reference_and_few_make_fid_too_high(
    inception: FirstValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "FEATURES", 12)
    monkeypatch.setattr(references, "FEATURES", 12)
    inception.features = 12
    evaluation = evaluate(MetricNetworks({}, inception), sizes=(WHOLE, (24, 40)))
    means = evaluation.means()
    assert means["generation/24x40"]["diffusion"]["fid"] is None
    assert means["generation/32x32"]["diffusion"]["fid"] is not None
    assert evaluation.problems() == [
        "generation/24x40: fid, kid, precision and recall are not measured: the training crops are smaller; "
        "raise data.crop.size_px",
        "generation: fid of 12 generated pictures and 12 training crops is too high, and comparable at equal "
        "numbers only; more than 12 on either side fix it",
    ]


def test_pictures_with_nan_leave_the_other_rows_intact(inception: FirstValues) -> None:
    evaluation = evaluate(MetricNetworks({}, inception), error=torch.nan)
    rows = evaluation.means()["generation/32x32"]
    assert rows["diffusion"]["fid"] is None
    assert rows["aligned"]["fid"] == pytest.approx(0, abs=1e-6)
    assert "generation/32x32/diffusion: 12 of 12 pictures hold NaN or infinity" in evaluation.problems()


def test_the_whole_path_through_inception(inception_folder: Path) -> None:
    networks = load_metric_networks([], str(inception_folder), torch.device("cpu"), inception=True)
    assert networks.unavailable == ()
    models: Any = {"diffusion": Parrot("generation")}
    evaluation = evaluate_distributions(models, CROPS, [HALF], count=12, seed=0, networks=networks)
    row = evaluation.means()["generation/16x16"]["diffusion"]
    assert row["fid"] == pytest.approx(0, abs=1e-3)
    assert (row["precision"], row["recall"]) == (1, 1)
    assert [line for line in evaluation.problems() if "fid of 12 generated" in line]
