"""Rows of generation: one latent at several sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from arbiscale.evaluation import pictures
from arbiscale.evaluation.drawn import parse_size
from arbiscale.evaluation.generation import evaluate_generation
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.scores import Evaluation
from tests.stand_ins import NO_NETWORKS

Make = Callable[..., Any]
SIZES = [(64, 64), (48, 80)]


def evaluate(make: Make, crops: list[HeldOutCrop], error: float = 0.0) -> Evaluation:
    models = {"autoencoder": make("reconstruction"), "diffusion": make("generation", error)}
    return evaluate_generation(models, crops, SIZES, count=3, seed=5, networks=NO_NETWORKS)


def test_known_pictures_have_known_scores(stand_in: Make, crops: list[HeldOutCrop]) -> None:
    evaluation = evaluate(stand_in, crops)
    rows = evaluation.means()["generation"]
    assert rows["autoencoder"]["psnr"] == 100
    assert rows["diffusion"]["self_ssim"] == pytest.approx(1, abs=0.02)
    assert rows["diffusion"]["grid_energy"] is not None
    assert [score.row for score in evaluation.scores] == ["autoencoder"] * 4 + ["diffusion"] * 3


def test_comparisons_show_every_size(stand_in: Make, crops: list[HeldOutCrop]) -> None:
    comparisons = evaluate(stand_in, crops).comparisons
    assert [comparison.title for comparison in comparisons["autoencoder"]] == ["a", "b"]
    shapes = {label: pixels.shape for label, pixels in comparisons["diffusion"][0].pictures.items()}
    assert shapes == {"64x64": (64, 64, 3), "48x80": (48, 80, 3)}
    assert not np.array_equal(*(comparison.pictures["64x64"] for comparison in comparisons["diffusion"][:2]))


def test_every_batch_draws_other_pictures(
    stand_in: Make, crops: list[HeldOutCrop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "BATCH_PIXELS", 1)
    shown = [each.pictures["64x64"] for each in evaluate(stand_in, crops).comparisons["diffusion"]]
    assert len({pixels.tobytes() for pixels in shown}) == 3


def test_pictures_with_nan_leave_the_rest_of_the_table_intact(
    stand_in: Make, crops: list[HeldOutCrop]
) -> None:
    evaluation = evaluate(stand_in, crops, error=torch.nan)
    means = evaluation.means()["generation"]
    assert means["diffusion"]["self_ssim"] is None
    assert means["autoencoder"]["psnr"] == 100
    assert evaluation.problems() == ["generation/diffusion: 3 of 3 pictures hold NaN or infinity"]


def test_sizes_are_read_height_first() -> None:
    assert parse_size("160x224") == (160, 224)
