"""The size whose proportions are nearest."""

import pytest

from arbiscale.imaging.proportions import in_groups, nearest_size

SIZES = [(64, 64), (48, 80), (80, 48)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 500), (64, 64)),
        ((400, 600), (48, 80)),  # 1.5 lies nearer to 1.67 than to 1
        ((600, 400), (80, 48)),
        ((480, 600), (64, 64)),  # 1.25 lies nearer to 1
        ((100, 1000), (48, 80)),
    ],
)
def test_nearest(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert nearest_size(size, SIZES) == expected


def test_as_much_too_high_as_too_wide_is_as_near() -> None:
    assert nearest_size((100, 100), [(20, 10), (10, 20)]) == (20, 10)
    assert nearest_size((100, 100), [(10, 20), (20, 10)]) == (10, 20)


def test_sizes_nearest_one_shape_are_one_group() -> None:
    sizes = [(128, 128), (96, 160), (64, 64), (100, 120)]
    assert in_groups(sizes, SIZES) == [[(128, 128), (64, 64), (100, 120)], [(96, 160)]]
    assert in_groups(sizes, [(64, 64)]) == [sizes]
    assert in_groups(sizes, []) == [sizes]
