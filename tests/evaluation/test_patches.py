"""Patches of pictures as a set: known numbers, a line where they mean little, the same after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.evaluation import patches
from arbiscale.evaluation.comparisons import TRUTH
from arbiscale.evaluation.held_out import HeldOutData
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.patches import METRICS, Patches, cut
from arbiscale.evaluation.plan import Subject, make_plan, metrics_of_sets
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.suite import finish
from tests.stand_ins import FirstValues, StandIn, Still

FEATURES = 4


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch) -> FirstValues:
    monkeypatch.setattr(patches, "FEATURES", FEATURES)
    return FirstValues(FEATURES)


@pytest.fixture
def of_two(tmp_path: Path, inception: Any) -> Patches:
    """Patches of 8 px."""
    return Patches(tmp_path, 8, inception, seed=0)


def test_patches_lie_side_by_side_and_again_half_a_side_further() -> None:
    picture = torch.arange(20 * 16).reshape(1, 20, 16)
    corners = [int(patch[0, 0, 0]) for patch in cut(picture, 8)]
    assert [divmod(corner, 16) for corner in corners] == [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4), (12, 4)]
    assert all(patch.shape == (1, 8, 8) for patch in cut(picture, 8))
    assert [*cut(picture, 17)] == []


def test_distances_are_those_of_all_patches_whoever_wrote_them(of_two: Patches) -> None:
    pictures = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    of_two.add("x4", TRUTH, ["a", "b"], pictures)
    of_two.add("x4", "same", ["b"], pictures[1:])
    of_two.add("x4", "same", ["a"], pictures[:1])
    of_two.add("x4", "black", ["a", "b"], torch.zeros_like(pictures))
    of_two.add("x4", "half", ["a"], pictures[:1])
    found, lines = of_two.compare("x4", ["same", "black", "half"], ["a", "b"])
    cuts = torch.stack([patch for picture in pictures for patch in cut(picture, 8)])
    features = cuts.flatten(1)[:, :FEATURES]
    assert len(features) == 2 * (3 * 2 + 2 * 1)
    expected = features.mean(dim=0).square().sum() + features.T.cov().trace()  # of a constant at 0
    assert found["x4", "same"]["patch_fid"] == pytest.approx(0, abs=1e-6)
    assert found["x4", "black"]["patch_fid"] == pytest.approx(expected.item(), rel=1e-4)
    assert found["x4", "black"]["patch_kid"] > found["x4", "same"]["patch_kid"]
    assert ("x4", "half") not in found  # it lacks a picture
    assert lines == []


def test_few_patches_are_reported(of_two: Patches, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_two.compare("x4", ["row"], ["a"]) == (
        {},
        [
            "x4: patch_fid and patch_kid are not measured: they need at least 4 patches of 8 px (got 0); "
            "lower evaluate.patch_fid_px"
        ],
    )
    monkeypatch.setattr(patches, "FEATURES", 5)
    pictures = torch.rand(1, 3, 16, 16)
    for row in (TRUTH, "row"):
        of_two.add("x4", row, ["a"], pictures)
    found, lines = of_two.compare("x4", ["row"], ["a"])
    assert found["x4", "row"].keys() == {*METRICS}
    assert lines == [
        "x4: patch_fid of 5 patches is too high, and comparable at equal numbers only; more than 5 fix it (a "
        "smaller evaluate.patch_fid_px, more pictures)"
    ]


class Redness(torch.nn.Module):
    """In a no-reference network's place."""

    least_px = 1

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].mean(dim=(1, 2))


@pytest.fixture
def evaluate(
    tmp_path: Path,
    crops: list[Still],
    evaluate_settings: Callable[..., EvaluateSettings],
    inception: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Evaluation]:
    """Evaluates an exact autoencoder on four crops of 64 px at x4, some pictures at a time."""
    monkeypatch.setattr("arbiscale.evaluation.plan._crops", lambda data, settings: crops)

    def run(folder: str, first: int = 4, **changes: Any) -> Evaluation:
        settings = evaluate_settings(perceptual=[], patch_fid_px=16, **changes)
        networks: Any = MetricNetworks({}, inception, no_reference={"musiq": Redness()})
        models: Any = {"autoencoder": StandIn("reconstruction"), "diffusion": StandIn("super_resolution")}
        subject = Subject(models, HeldOutData([]), settings, 0, networks)
        plan = make_plan(subject, Scratch(tmp_path / folder))
        if first < 4:  # the rest after a kill
            scratch = Scratch(tmp_path / folder)
            for _, lines in plan.works[0].measure(range(first)):
                scratch.add(lines)
            scratch.flush()
        measure(plan.works, Scratch(tmp_path / folder))
        return finish(plan, Scratch(tmp_path / folder))

    return run


def test_every_row_has_them_in_the_table_and_the_scores(evaluate: Callable[..., Evaluation]) -> None:
    evaluation = evaluate("whole")
    rows = evaluation.means()["x4"]
    assert {*rows} >= {"bicubic", "autoencoder", "diffusion"}
    assert all({*METRICS, "musiq"} <= {*row} for row in rows.values())
    assert rows["autoencoder"]["patch_fid"] < rows["bicubic"]["patch_fid"]
    assert evaluation.scores.musiq.notna().all()  # a figure per picture


def test_a_killed_evaluation_goes_on_to_the_same(evaluate: Callable[..., Evaluation]) -> None:
    whole, continued = evaluate("whole"), evaluate("killed", first=1)
    assert continued.sets == whole.sets
    kept = [column for column in whole.scores if column != "seconds"]
    assert continued.scores[kept].equals(whole.scores[kept])


def test_only_what_is_asked_for_needs_inception(evaluate_settings: Callable[..., EvaluateSettings]) -> None:
    assert metrics_of_sets(evaluate_settings()) == ()
    assert metrics_of_sets(evaluate_settings(patch_fid_px=32)) == METRICS
    assert metrics_of_sets(evaluate_settings(protocols=["generation"])) == (
        "fid",
        "kid",
        "precision",
        "recall",
    )
