import numpy as np
import pytest
import torch

from arbiscale.imaging.coordinates import crop
from arbiscale.imaging.orientations import ORIENTATIONS, UPRIGHT, Orientation

IMAGE = torch.arange(2 * 5 * 7).view(1, 2, 5, 7)


def test_there_are_eight() -> None:
    laid = {tuple(each.turn(IMAGE).flatten().tolist()) for each in ORIENTATIONS}
    assert len(laid) == 8
    assert ORIENTATIONS[0] == UPRIGHT


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_what_is_turned_is_turned_back(orientation: Orientation) -> None:
    turned = orientation.turn(IMAGE)
    assert tuple(turned.shape[-2:]) == orientation.size((5, 7))
    assert torch.equal(orientation.turn_back(turned), IMAGE)
    pixels = IMAGE[0].permute(1, 2, 0).numpy().astype(np.uint8)
    expected = turned[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(orientation.turn_pixels(pixels), expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_regions_are_turned_with_the_image(orientation: Orientation) -> None:
    region = (1, 4, 3, 2)
    there = orientation.region(region, (5, 7))
    assert torch.equal(crop(orientation.turn(IMAGE), there), orientation.turn(crop(IMAGE, region)))
