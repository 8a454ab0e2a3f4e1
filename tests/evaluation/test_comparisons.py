"""Pictures kept to look at: the best and worst among many, while few are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from arbiscale.evaluation.comparisons import (
    BEST,
    BEST_PX,
    KEPT_PX,
    BestAndWorst,
    Comparison,
    ComparisonBuilder,
    kept_part,
)
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.pairs import Pairs
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.imaging.detail import busiest_square
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from tests.stand_ins import NO_NETWORKS, texture

Make = Callable[..., Any]


def offered(gains_db: Iterable[float]) -> tuple[BestAndWorst, list[int]]:
    """The extremes of pictures with these gains, and the numbers of those that were made."""
    extremes, made = BestAndWorst("diffusion", over="bicubic"), []

    def make(number: int) -> Comparison:
        made.append(number)
        return Comparison(str(number), {}, {})

    for number, gain_db in enumerate(gains_db):
        extremes.offer(gain_db, lambda number=number: make(number))
    return extremes, made


def test_extremes_are_those_of_sorting_everything() -> None:
    gains = np.random.default_rng(0).normal(size=200)
    extremes, made = offered(gains)
    order = np.argsort(gains)
    assert [each.number for each in extremes.worst()] == order[:BEST].tolist()
    assert [each.number for each in extremes.best()] == order[::-1][:BEST].tolist()
    assert [each.gain_db for each in extremes.best()] == sorted(gains)[::-1][:BEST]
    assert len(made) < 50, "few pictures are made"


@pytest.mark.parametrize(
    ("gains", "best", "worst"),
    [
        ([], [], []),
        ([1.0], ["0"], []),
        ([1.0, 2.0], ["1"], ["0"]),
        ([1.0, 3.0, 2.0], ["1", "2"], ["0"]),
        ([math.nan, 1.0, math.nan], ["1"], []),
        ([1.0, 1.0, 1.0, 1.0], ["1"], ["0"]),  # the first are held
    ],
)
def test_no_picture_is_best_and_worst(gains: list[float], best: list[str], worst: list[str]) -> None:
    extremes, _ = offered(gains)
    assert [each.comparison.title for each in extremes.best()] == best
    assert [each.comparison.title for each in extremes.worst()] == worst


def test_small_pictures_are_kept_whole_and_of_large_ones_the_busiest_part() -> None:
    assert kept_part(np.zeros((100, BEST_PX, 3), np.uint8)) == (0, 0, BEST_PX, 100)
    large = np.zeros((500, 1000, 3), np.uint8)
    large[100:400, 600:900] = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    left, top, right, bottom = kept_part(large)
    assert (right - left, bottom - top) == (BEST_PX, BEST_PX)
    assert left <= 600
    assert right >= 900
    assert top <= 100
    assert bottom >= 400


def test_the_busiest_square_may_be_the_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert busiest_square(pixels, 9) == (0, 0, 9, 9)


def test_an_evaluation_keeps_the_last_models_extremes(stand_in: Make, crops: list[HeldOutCrop]) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution", 0.1)}
    evaluation = evaluate_super_resolution(models, crops, [4], seed=0, networks=NO_NETWORKS)
    extremes = evaluation.best_and_worst["x4"]
    psnr = {
        row: [score.metrics["psnr"] for score in evaluation.scores if score.row == row]
        for row in ("bicubic", "diffusion")
    }
    gains = np.subtract(psnr["diffusion"], psnr["bicubic"])
    (first, *_), order = extremes.best(), np.argsort(gains)
    assert [each.number for each in (*extremes.best(), *extremes.worst()[::-1])] == order[::-1].tolist()
    assert first.gain_db == pytest.approx(gains.max())
    assert list(first.comparison.pictures) == ["bicubic", "diffusion", "ground truth"]
    assert np.array_equal(first.comparison.pictures["ground truth"], crops[first.number].pixels)
    assert first.comparison.metrics["diffusion"]["psnr"] == psnr["diffusion"][first.number]


def test_pictures_of_nothing_but_nan_are_no_extremes(stand_in: Make, crops: list[HeldOutCrop]) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution", torch.nan)}
    evaluation = evaluate_super_resolution(models, crops, [4], seed=0, networks=NO_NETWORKS)
    extremes = evaluation.best_and_worst["x4"]
    assert (extremes.best(), extremes.worst()) == ([], [])


def compared(side_px: int) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """A truth of this side, and what is kept of it and of its negative, the only row."""
    truth = to_tensor(texture(side_px, 0))
    pairs = Pairs(["p"], ["p"], truth, resize(truth, (side_px // 4, side_px // 4)))
    builder = ComparisonBuilder(pairs, 0)
    builder.add("negative", -truth, {"psnr": [12.0]})
    comparison = builder.finish()
    assert comparison.metrics == {"negative": {"psnr": 12.0}}
    return truth, comparison.pictures


def test_small_pictures_of_a_batch_are_kept_whole() -> None:
    truth, pictures = compared(64)
    assert list(pictures) == ["low resolution", "negative", "ground truth"]
    assert np.array_equal(pictures["ground truth"], to_array(truth))
    assert np.array_equal(pictures["negative"], to_array(-truth))
    low = pictures["low resolution"]
    assert np.array_equal(low[::4, ::4].repeat(4, axis=0).repeat(4, axis=1), low)


def test_of_large_pictures_every_row_keeps_the_same_part() -> None:
    truth, pictures = compared(KEPT_PX + 88)
    assert {pixels.shape for pixels in pictures.values()} == {(KEPT_PX, KEPT_PX, 3)}
    whole, part = to_array(truth), pictures["ground truth"]
    places = [
        (top, left)
        for top in range(89)
        for left in range(89)
        if np.array_equal(whole[top : top + 8, left : left + 8], part[:8, :8])
    ]
    assert len(places) == 1
    (top, left) = places[0]
    assert np.array_equal(whole[top : top + KEPT_PX, left : left + KEPT_PX], part)
    negative = to_array(-truth)[top : top + KEPT_PX, left : left + KEPT_PX]
    assert np.array_equal(negative, pictures["negative"])
