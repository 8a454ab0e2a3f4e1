"""Names lie near what they name, and on nothing else."""

from __future__ import annotations

from itertools import pairwise

from arbiscale.report.placement import Place, beside, spread

FRAME = (0.0, 0.0, 300.0, 200.0)


def test_labels_keep_apart_within_bounds_in_their_order() -> None:
    wanted = [50, 51, 10, 99, 52, 98]
    placed = spread(wanted, 10, 0, 100)
    assert min(b - a for a, b in pairwise(sorted(placed))) >= 10
    assert min(placed) >= 0
    assert max(placed) <= 100
    assert sorted(range(6), key=lambda each: placed[each]) == sorted(range(6), key=lambda each: wanted[each])
    assert placed[2] == 10, "what has room stays"
    assert spread([], 10, 0, 100) == []


def test_a_name_with_room_stands_right_of_its_point() -> None:
    assert beside([(100.0, 50.0)], [40.0], [0], FRAME) == [Place(109.0, 50.0, 1)]


def test_a_name_that_would_leave_the_frame_stands_left_of_its_point() -> None:
    assert beside([(290.0, 50.0)], [40.0], [0], FRAME) == [Place(281.0, 50.0, -1)]


def test_the_first_to_choose_stands_nearest() -> None:
    points = [(100.0, 50.0), (100.0, 57.0)]  # nearer than names are high
    for first, second in ((0, 1), (1, 0)):
        places = beside(points, [180.0, 180.0], [first, second], FRAME)
        assert places[first] == Place(109.0, points[first][1], 1)
        assert abs(places[second].y_px - points[first][1]) >= 12


def test_without_room_anywhere_a_name_stands_right() -> None:
    assert beside([(5.0, 5.0)], [400.0], [0], FRAME) == [Place(14.0, 5.0, 1)]
