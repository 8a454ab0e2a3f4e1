from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from arbiscale.imaging.draws import Share, holding, integers, normal_like, shares, uniform

DRAWS: list[Callable[[int], Tensor]] = [
    lambda count: normal_like(torch.zeros(count, 2, 3)),
    lambda count: uniform(count, torch.device("cpu")),
    lambda count: integers(1000, count, torch.device("cpu")),
]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2)])
def test_parts_draw_what_the_whole_draws(
    draw: Callable[[int], Tensor], processes: int, accumulate: int
) -> None:
    torch.manual_seed(3)
    whole, after = draw(8), draw(8)
    found = {}
    for rank in range(processes):
        for share in shares(8, processes, rank, accumulate):
            torch.manual_seed(3)
            with holding(share):
                found[share.first] = draw(share.count)
                torch.testing.assert_close(
                    draw(share.count), after[share.first :][: share.count], rtol=0, atol=0
                )
    assert torch.equal(torch.cat([found[first] for first in sorted(found)]), whole)


def test_a_generator_of_ones_own_is_used() -> None:
    first, second = (normal_like(torch.zeros(2, 2), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_samples_own_generator_decides_its_noise_wherever_it_stands() -> None:
    def generators(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    three = normal_like(torch.zeros(3, 2, 2), generators(7, 8, 7))
    assert torch.equal(three[0], three[2])
    assert not torch.equal(three[0], three[1])
    assert torch.equal(three[1:2], normal_like(torch.zeros(1, 2, 2), generators(8)))


def test_shares_are_even() -> None:
    assert shares(8, 2, 1, 2) == [Share(2, 2, 8), Share(6, 2, 8)]
    with pytest.raises(ValueError, match="6 samples do not divide into 2 x 2 equal parts"):
        shares(6, 2, 0, 2)
