"""What callers from Python may give, and what they may not."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.inference.arguments import (
    checked_count,
    checked_region,
    checked_seeds,
    checked_size,
    checked_tensor,
    target_size,
)


def test_an_output_size_from_a_scale_or_a_size() -> None:
    assert target_size((10, 20), 2.7, None) == (27, 54)
    assert target_size((10, 20), (0.5, 3.0), None) == (5, 60)
    assert target_size((10, 20), None, (7, 9)) == (7, 9)
    for scale, size in ((None, None), (2.0, (4, 4))):
        with pytest.raises(UserError, match="give either a scale or a size"):
            target_size((10, 20), scale, size)
    with pytest.raises(UserError, match="the output would be 0x1 px; ask for at least 1x1"):
        target_size((10, 20), 0.04, None)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "2", (2,), (2, 3, 4), (2, None)])
def test_scales_that_are_no_numbers(scale: Any) -> None:
    with pytest.raises(UserError, match="must be a factor, or"):
        target_size((10, 20), scale, None)


@pytest.mark.parametrize("size", [10, (10,), (10.5, 20), ("a", "b"), (1, 2, 3)])
def test_sizes_that_are_no_pixels(size: Any) -> None:
    with pytest.raises(UserError, match="in whole pixels"):
        target_size((10, 20), None, size)


def test_counts() -> None:
    assert checked_count(np.int64(3)) == 3
    for count in (0, -1, 1.5, "2", None):
        with pytest.raises(UserError, match=f"count {count!r}: must be a whole number from 1 on"):
            checked_count(count)


def test_numbers_of_other_kinds_become_whole_ones() -> None:
    assert checked_size(np.array([7, 9])) == (7, 9)
    assert checked_region([np.int64(1), 2, 3, 4], (8, 8)) == (1, 2, 3, 4)
    assert checked_seeds(np.int64(5), 3) == (5, 6, 7)
    assert checked_seeds([np.int64(5), 2], 2) == (5, 2)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 3, 9, 8), (0, 3, 8, 8), (1, 3, 0, 8)])
def test_tensors_of_other_shapes(shape: tuple[int, ...]) -> None:
    assert checked_tensor("images", torch.zeros(2, 3, 8, 12), 3, multiple=4).shape == (2, 3, 8, 12)
    with pytest.raises(UserError, match="images: .*not " + re.escape(str(shape))):
        checked_tensor("images", torch.zeros(shape), 3, multiple=4)
    with pytest.raises(UserError, match="not ndarray"):
        checked_tensor("images", np.zeros((1, 3, 8, 8)), 3)


def test_tensors_of_other_types() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert checked_tensor("images", torch.ones(1, 3, 8, 8, dtype=dtype), 3).dtype == torch.float32
    with pytest.raises(UserError, match="images: must be of floating point, not torch"):
        checked_tensor("images", torch.ones(1, 3, 8, 8, dtype=torch.uint8), 3)
