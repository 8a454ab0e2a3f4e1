"""Where crops lie."""

import numpy as np
import pytest

from arbiscale.config.data import CropSettings
from arbiscale.data.boxes import crop_boxes


def boxes(width: int, height: int, *, mode="random", size_px=16, per_photograph=100, seed=0, name="a.png"):
    settings = CropSettings(mode=mode, size_px=size_px, per_photograph=per_photograph)
    return crop_boxes(width, height, settings, seed=seed, name=name)


@pytest.mark.parametrize("mode", ["random", "grid"])
@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 40), (100, 31)])
def test_boxes_are_distinct_inside_and_of_one_size(mode: str, width: int, height: int):
    found = boxes(width, height, mode=mode)
    assert found
    assert len(set(found)) == len(found) <= 100
    for left, top, right, bottom in found:
        assert left >= 0
        assert top >= 0
        assert (right - left, bottom - top) == (16, 16)
        assert right <= width
        assert bottom <= height


def test_too_small_gives_none():
    assert boxes(15, 200) == []
    assert boxes(200, 15, mode="grid") == []


def test_random_takes_every_place_before_repeating_any():
    assert len(boxes(18, 17, per_photograph=100)) == 3 * 2
    assert len(boxes(300, 300, per_photograph=7)) == 7


def test_random_depends_on_seed_and_name_only():
    first = boxes(200, 100)
    assert first == boxes(200, 100)
    assert first != boxes(200, 100, seed=1)
    assert first != boxes(200, 100, name="b.png")


def test_random_covers_the_whole_photograph():
    covered = np.zeros((100, 200), dtype=bool)
    for left, top, right, bottom in boxes(200, 100, per_photograph=1000):
        covered[top:bottom, left:right] = True
    assert covered[16:-16, 16:-16].all()  # at the edges few boxes can lie


def test_grid_closed_form():
    # 3 fit in 50 px with 2 px left over, which even gaps share: starts 0, 17, 34; one fits in 25 px, centred.
    assert boxes(50, 25, mode="grid") == [(0, 4, 16, 20), (17, 4, 33, 20), (34, 4, 50, 20)]
    some = boxes(50, 25, mode="grid", per_photograph=2)
    assert len(some) == 2
    assert set(some) < set(boxes(50, 25, mode="grid"))
