import torch

from arbiscale.imaging.coordinates import random_region


def test_every_place_is_drawn_and_none_outside() -> None:
    torch.manual_seed(0)
    regions = {random_region((5, 7), 3) for _ in range(500)}
    assert regions == {(top, left, 3, 3) for top in range(3) for left in range(5)}


def test_an_output_smaller_than_the_side_is_taken_whole_along_that_axis() -> None:
    torch.manual_seed(0)
    assert {random_region((2, 4), 3) for _ in range(50)} == {(0, 0, 2, 3), (0, 1, 2, 3)}
    assert random_region((2, 3), 8) == (0, 0, 2, 3)


def test_the_seed_decides() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append([random_region((100, 100), 10) for _ in range(5)])
    assert draws[0] == draws[1]
