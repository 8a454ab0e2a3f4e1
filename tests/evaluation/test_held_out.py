"""Held-out pictures: where crops lie, and what the stage `crop` left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from arbiscale.data.manifest import HeldOut, Manifest
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import cut_held_out_crops, read_held_out_data, stack
from arbiscale.imaging.writing import write_image
from tests.stand_ins import texture


def coordinates(height: int, width: int) -> NDArray[np.uint8]:
    """A picture whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)


def corners(pixels: NDArray[np.uint8], crop_px: int, count: int) -> list[tuple[int, ...]]:
    return [
        tuple(int(value) for value in crop.pixels[0, 0, :2])
        for crop in cut_held_out_crops({"p": pixels}, crop_px, count)
    ]


def test_crops_lie_in_the_middles_of_equal_cells() -> None:
    assert corners(coordinates(100, 200), 40, 1) == [(30, 80)]
    assert corners(coordinates(100, 200), 40, 2) == [(30, 30), (30, 130)]
    assert corners(coordinates(200, 100), 40, 2) == [(30, 30), (130, 30)]
    assert corners(coordinates(200, 200), 40, 4) == [(30, 30), (30, 130), (130, 30), (130, 130)]


def test_crops_larger_than_their_cell_stay_inside_the_photograph() -> None:
    assert corners(coordinates(64, 100), 64, 2) == [(0, 0), (0, 36)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12])
def test_every_photograph_gives_as_many_different_crops_as_asked(count: int) -> None:
    assert len(set(corners(coordinates(150, 220), 32, count))) == count


def test_a_photograph_of_exactly_the_crops_size_is_used_and_smaller_ones_are_left_out() -> None:
    photographs = {"small": coordinates(64, 31), "exact": coordinates(32, 32)}
    crops = cut_held_out_crops(photographs, 32, 1)
    assert [crop.photograph for crop in crops] == ["exact"]
    assert np.array_equal(crops[0].pixels, photographs["exact"])
    assert stack(crops).shape == (1, 3, 32, 32)


def test_no_photograph_large_enough_is_an_error_naming_the_key() -> None:
    with pytest.raises(UserError, match=r"evaluate\.crop_px: none of 1 test photographs is 65 px"):
        cut_held_out_crops({"p": coordinates(64, 100)}, 65, 2)


def test_the_stage_crops_folder_gives_photographs_with_whom_to_credit(tmp_path: Path) -> None:
    pixels = {name: texture(24, seed) for seed, name in enumerate("pq")}
    kept = [HeldOut(f"test/{name}.png", "", f"{name}.jpg", "", name, "test", 24, 24) for name in pixels]
    for name, picture in pixels.items():
        write_image(tmp_path / f"test/{name}.png", picture)
    Manifest(24, [], [], kept, [], {"p.jpg": "Zoë"}).write(tmp_path)
    data = read_held_out_data(tmp_path)
    assert all(np.array_equal(data.photographs[name], picture) for name, picture in pixels.items())
    assert data.credits == {"p": "Zoë"}
    assert len(data.training_crops) == 0
