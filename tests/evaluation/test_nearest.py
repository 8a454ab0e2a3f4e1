"""The nearest training crop is found, mirrored or not, whatever the light."""

from __future__ import annotations

import numpy as np
import torch

from arbiscale.evaluation.nearest import TrainingCrops
from tests.conftest import photograph


def test_the_crop_itself_is_found_and_shown_at_the_pictures_size() -> None:
    crops = [photograph(64, 64, seed) for seed in range(4)]
    picture = torch.from_numpy(crops[2]).permute(2, 0, 1) / 255
    assert np.array_equal(TrainingCrops({(64, 64): crops}).nearest(picture), crops[2])
    assert TrainingCrops({(64, 64): crops}).nearest(picture[:, :48]).shape == (48, 64, 3)


def test_a_mirrored_and_darker_one_is_found() -> None:
    crops = [photograph(64, 64, seed) for seed in range(4)]
    picture = torch.from_numpy(crops[1]).permute(2, 0, 1).flip(-1) / 255 * 0.9
    assert np.array_equal(TrainingCrops({(64, 64): crops}).nearest(picture), crops[1][:, ::-1])


def test_pictures_of_a_shape_are_looked_for_among_crops_of_that_shape() -> None:
    squares = [photograph(64, 64, seed) for seed in range(3)]
    wide = [photograph(48, 80, seed) for seed in range(10, 13)]
    crops = TrainingCrops({(64, 64): squares, (48, 80): wide})
    for own in (*squares, *wide):
        picture = torch.from_numpy(own).permute(2, 0, 1) / 255
        assert np.array_equal(crops.nearest(picture), own)
