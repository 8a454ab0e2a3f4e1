import pytest
import torch
from torch.testing import assert_close

from arbiscale.imaging.coordinates import axis_neighbours, check_region, crop, pixel_centres, random_region

SIZES = [(1, 1), (1, 5), (7, 7), (12, 5), (5, 12), (101, 16), (16, 101), (3, 64)]  # (outputs, inputs)


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_pixel_centres_lie_half_a_pixel_inside_the_edges(count: int) -> None:
    centres = pixel_centres(count)
    assert_close(centres[0], torch.tensor(-1 + 1 / count, dtype=torch.float64))
    assert_close(centres, -centres.flip(0))
    assert_close(centres.diff(), torch.full((count - 1,), 2 / count, dtype=torch.float64))


def test_at_the_latents_own_size_the_neighbours_are_the_pixel_and_the_next() -> None:
    neighbours = axis_neighbours(4, 4, 0, 4)
    assert neighbours.index.tolist() == [[0, 1, 2, 3], [1, 2, 3, 3]]
    assert_close(neighbours.relative, torch.tensor([[0.0, 0, 0, 0], [-2, -2, -2, 0]]))
    assert neighbours.cell == 2.0


def test_large_images_lose_no_precision() -> None:
    relative = axis_neighbours(3 * 1999, 1999, 0, 3 * 1999).relative[0]
    expected = torch.tensor([0, 2 / 3, 4 / 3]).repeat(1999).roll(1)  # float32 centres would be 1e-4 off
    assert_close(relative[1:-1], expected[1:-1], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_neighbours_enclose_the_query(outputs: int, inputs: int) -> None:
    neighbours = axis_neighbours(outputs, inputs, 0, outputs)
    query, centres = pixel_centres(outputs), pixel_centres(inputs)
    for side in (0, 1):  # relative is the distance to the neighbour's centre
        assert_close(
            centres[neighbours.index[side]] + neighbours.relative[side].double() / inputs,
            query,
            atol=1e-7,
            rtol=0,
        )
    lower, upper = neighbours.index
    inside = (query > centres[0] + 1e-5) & (query < centres[-1] - 1e-5)
    assert (upper - lower)[inside].eq(1).all()
    assert (upper == lower)[(query < centres[0] - 1e-5) | (query > centres[-1] + 1e-5)].all()
    assert neighbours.cell == 2 * inputs / outputs


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_a_part_of_the_axis_is_a_part_of_the_whole(outputs: int, inputs: int) -> None:
    whole = axis_neighbours(outputs, inputs, 0, outputs)
    start, count = outputs // 3, max(1, outputs // 2)
    part = axis_neighbours(outputs, inputs, start, count)
    assert torch.equal(part.index, whole.index[:, start : start + count])
    assert torch.equal(part.relative, whole.relative[:, start : start + count])


def test_no_region_means_everything() -> None:
    assert check_region(None, (5, 7)) == (0, 0, 5, 7)
    assert check_region((1, 2, 4, 5), (5, 7)) == (1, 2, 4, 5)


@pytest.mark.parametrize(
    "region", [(-1, 0, 2, 2), (0, -1, 2, 2), (0, 0, 0, 2), (0, 0, 2, 0), (4, 0, 2, 2), (0, 6, 2, 2)]
)
def test_a_region_must_lie_inside(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie inside an output of 5x7 px"):
        check_region(region, (5, 7))


def test_crop_takes_rows_then_columns() -> None:
    image = torch.arange(35).reshape(1, 1, 5, 7)
    assert crop(image, (1, 2, 2, 3)).tolist() == [[[[9, 10, 11], [16, 17, 18]]]]


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
