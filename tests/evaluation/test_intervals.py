"""Bootstrap intervals against the normal approximation, and what they are drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from arbiscale.evaluation import intervals as module
from arbiscale.evaluation.intervals import bootstrap_interval, intervals
from arbiscale.evaluation.scores import Evaluation


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
    assert bootstrap_interval(values, names, seed=4) == at_once


def test_one_photograph_says_nothing_of_others() -> None:
    assert bootstrap_interval(np.array([1.0, 3.0]), ["a", "a"], seed=0) == (2.0, 2.0)


def test_every_mean_with_a_value_has_one_and_twice_the_same() -> None:
    evaluation = Evaluation()
    metrics = {"psnr": [20.0, 30.0, 40.0], "lpips": [0.1, math.nan, 0.2]}
    evaluation.add("x4", "bicubic", ["a", "b", "b"], torch.zeros(3, 3, 4, 4), metrics)
    (found,) = intervals(evaluation, seed=3)
    assert (found.metric, found.mean, found.pictures, found.photographs) == ("psnr", 30.0, 3, 2)
    assert (found.low, found.high) == (20.0, 35.0)
    assert [*intervals(evaluation, seed=3)] == [found]
