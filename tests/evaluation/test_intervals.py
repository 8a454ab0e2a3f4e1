"""Bootstrap intervals against the normal approximation, and what they are drawn from."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest

from arbiscale.evaluation import intervals as module
from arbiscale.evaluation.intervals import bootstrap_interval, bootstrap_intervals, intervals
from arbiscale.evaluation.scores import KEYS, Evaluation


def test_of_many_values_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(30, 2, size=400)
    low, high = bootstrap_interval(values, [str(index) for index in range(400)], seed=0)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_crops_of_one_photograph_count_as_one() -> None:
    names = [str(index) for index in range(20)]
    values = np.random.default_rng(1).normal(size=20)
    once = bootstrap_interval(values, names, seed=0)
    assert bootstrap_interval(values.repeat(9), np.repeat(names, 9).tolist(), seed=0) == pytest.approx(once)


def test_draws_in_parts_are_the_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values, names = np.random.default_rng(1).normal(size=30), [str(index // 2) for index in range(30)]
    at_once = bootstrap_interval(values, names, seed=4)
    monkeypatch.setattr(module, "DRAWS_AT_ONCE", 100)  # 6 of 2,000 resamples
    assert bootstrap_interval(values, names, seed=4) == pytest.approx(at_once, rel=1e-12)


def test_one_photograph_says_nothing_of_others() -> None:
    assert np.isnan(bootstrap_interval(np.array([1.0, 3.0]), ["a", "a"], seed=0)).all()


def test_columns_are_measured_with_the_same_draws() -> None:
    values = np.random.default_rng(1).normal(size=(30, 2))
    names = [str(index // 2) for index in range(30)]
    low, high = bootstrap_intervals(values, names, seed=4)
    for column in (0, 1):
        assert (low[column], high[column]) == pytest.approx(bootstrap_interval(values[:, column], names, 4))


def evaluation(**psnr: list[float]) -> Evaluation:
    """Of pictures of scenes a, b, b, whose LPIPS is missing in places."""
    lines = [
        {"group": "x4", "row": row, "picture": str(number), "scene": "abb"[number], "psnr": value}
        | {"lpips": (0.1, math.nan, 0.2)[number]}
        for row, values in psnr.items()
        for number, value in enumerate(values)
    ]
    return Evaluation(pd.DataFrame(lines).reindex(columns=[*KEYS, "psnr", "lpips"]))


def test_every_mean_with_a_value_has_one_and_twice_the_same() -> None:
    scores = evaluation(bicubic=[20.0, 30.0, 40.0])
    (found,) = intervals(scores, "diffusion", seed=3)
    assert (found.metric, found.over, found.mean) == ("psnr", "", 30.0)
    assert (found.pictures, found.scenes) == (3, 2)
    assert (found.low, found.high) == (20.0, 35.0)
    assert [*intervals(scores, "diffusion", seed=3)] == [found]


def test_a_difference_is_as_sure_as_pictures_agree_on_it() -> None:
    scores = evaluation(bicubic=[20.0, 30.0, 40.0], diffusion=[21.0, 31.0, 41.0], other=[21.0, 29.0, 44.0])
    found = {each.over: each for each in intervals(scores, "diffusion", seed=3) if each.row == "diffusion"}
    assert [*found] == ["", "bicubic", "other"]
    assert (found[""].low, found[""].high) == (21.0, 36.0)
    assert (found["bicubic"].mean, found["bicubic"].low, found["bicubic"].high) == (1.0, 1.0, 1.0)
    assert (found["other"].low, found["other"].high) == (-0.5, 0.0)


def test_a_row_that_lacks_a_picture_is_not_compared() -> None:
    scores = evaluation(bicubic=[20.0, 30.0], diffusion=[21.0, 31.0, 41.0])
    assert [(each.row, each.over) for each in intervals(scores, "diffusion", 0)] == [("diffusion", "")]


def test_of_100_000_scenes_it_takes_seconds() -> None:
    values = np.random.default_rng(0).normal(size=(100_000, 20))
    begun = time.monotonic()
    low, high = bootstrap_intervals(values, np.arange(100_000).astype(str), seed=0)
    assert time.monotonic() - begun < 60
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(100_000), rel=0.1)
