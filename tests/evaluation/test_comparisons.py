"""Pictures kept to look at: the best and worst among many, while few are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from arbiscale.evaluation.comparisons import (
    EXTREME_PX,
    EXTREMES,
    KEPT_PX,
    Album,
    ComparisonBuilder,
    extremes,
    kept_part,
)
from arbiscale.evaluation.pairs import Pairs
from arbiscale.imaging.detail import busiest_square
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from tests.stand_ins import Still, still, texture, upscaled

Make = Callable[..., Any]


def extremes_of(gains_db: Iterable[float]) -> tuple[list[str], list[str]]:
    """The extremes of pictures with these gains over bicubic."""
    gains = [*gains_db]
    names = [str(number) for number in range(len(gains))]
    rows = {"bicubic": [20.0] * len(gains), "diffusion": [20 + gain for gain in gains]}
    lines = [pd.DataFrame({"row": row, "picture": names, "psnr": psnr}) for row, psnr in rows.items()]
    return extremes(pd.concat(lines), "diffusion", "bicubic")


def test_extremes_are_those_of_sorting_everything() -> None:
    gains = np.random.default_rng(0).normal(size=200)
    best, worst = extremes_of(gains)
    order = [str(number) for number in np.argsort(gains)]
    assert (best, worst) == (order[::-1][:EXTREMES], order[:EXTREMES])


@pytest.mark.parametrize(
    ("gains", "best", "worst"),
    [
        ([], [], []),
        ([1.0], ["0"], []),
        ([1.0, 2.0], ["1"], ["0"]),
        ([1.0, 3.0, 2.0], ["1", "2"], ["0"]),
        ([math.nan, 1.0, math.nan], ["1"], []),
    ],
)
def test_no_picture_is_best_and_worst(gains: list[float], best: list[str], worst: list[str]) -> None:
    assert extremes_of(gains) == (best, worst)


def test_small_pictures_are_kept_whole_and_of_large_ones_the_busiest_part() -> None:
    assert kept_part(np.zeros((100, EXTREME_PX, 3), np.uint8)) == (0, 0, EXTREME_PX, 100)
    large = np.zeros((500, 1000, 3), np.uint8)
    large[100:400, 600:900] = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    left, top, right, bottom = kept_part(large)
    assert (right - left, bottom - top) == (EXTREME_PX, EXTREME_PX)
    assert left <= 600
    assert right >= 900
    assert top <= 100
    assert bottom >= 400


def test_the_busiest_square_may_be_the_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert busiest_square(pixels, 9) == (0, 0, 9, 9)


def test_an_evaluation_shows_the_last_models_extremes(stand_in: Make, crops: list[Still]) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution", 0.1)}
    evaluation = upscaled(models, crops, [4])
    psnr = evaluation.scores.pivot(index="picture", columns="row", values="psnr")
    gains = (psnr.diffusion - psnr.bicubic).sort_values()
    shown = [*evaluation.best["x4"], *evaluation.worst["x4"][::-1]]
    found = [each.metrics["diffusion"]["psnr"] - each.metrics["bicubic"]["psnr"] for each in shown]
    assert found == pytest.approx(gains[::-1].tolist())
    assert list(shown[0].pictures) == ["bicubic", "diffusion", "ground truth"]
    truth = next(crop.pixels for crop in crops if crop.name == gains.index[-1])
    assert np.array_equal(shown[0].pictures["ground truth"], truth)


def test_pictures_of_nothing_but_nan_are_no_extremes(stand_in: Make, crops: list[Still]) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution", torch.nan)}
    evaluation = upscaled(models, crops, [4])
    assert (evaluation.best, evaluation.worst) == ({"x4": []}, {"x4": []})


def compared(side_px: int) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """A truth of this side, and what is kept of it and of its negative, the only row."""
    truth = to_tensor(texture(side_px, 0))
    pairs = Pairs([still("p", texture(1, 0))], truth, resize(truth, (side_px // 4, side_px // 4)))
    builder = ComparisonBuilder(pairs, 0)
    builder.add("negative", -truth)
    return truth, builder.finish()


def test_kept_pictures_are_found_as_they_were(tmp_path: Path) -> None:
    _, pictures = compared(64)
    album = Album(tmp_path)
    album.keep("benchmark/set5/x4", "more/b", pictures)
    found = album.find("benchmark/set5/x4", "more/b")
    assert [*found] == [*pictures]
    assert all(np.array_equal(found[row], pictures[row]) for row in pictures)
    assert album.find("x4", "more/b") == {}


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
