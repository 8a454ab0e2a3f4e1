"""Best and worst pictures: found among many, while few are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from arbiscale.evaluation.extremes import KEPT, WINDOW_PX, Extremes, window
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.scores import Comparison
from arbiscale.evaluation.super_resolution import evaluate_super_resolution
from arbiscale.imaging.detail import busiest_square
from tests.stand_ins import NO_NETWORKS

Make = Callable[..., Any]


def offered(gains_db: Iterable[float]) -> tuple[Extremes, list[int]]:
    """The extremes of pictures with these gains, and the numbers of those that were made."""
    extremes, made = Extremes("diffusion", over="bicubic"), []

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
    assert [each.number for each in extremes.worst()] == order[:KEPT].tolist()
    assert [each.number for each in extremes.best()] == order[::-1][:KEPT].tolist()
    assert [each.gain_db for each in extremes.best()] == sorted(gains)[::-1][:KEPT]
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
    assert window(np.zeros((100, WINDOW_PX, 3), np.uint8)) == (0, 0, WINDOW_PX, 100)
    large = np.zeros((500, 1000, 3), np.uint8)
    large[100:400, 600:900] = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    left, top, right, bottom = window(large)
    assert (right - left, bottom - top) == (WINDOW_PX, WINDOW_PX)
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
    extremes = evaluation.extremes["x4"]
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
    extremes = evaluate_super_resolution(models, crops, [4], seed=0, networks=NO_NETWORKS).extremes["x4"]
    assert (extremes.best(), extremes.worst()) == ([], [])
