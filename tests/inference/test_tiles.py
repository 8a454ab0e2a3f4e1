from itertools import pairwise

import pytest
import torch

from arbiscale.inference.tiles import Tiling, blend, blend_strip, cut


@pytest.mark.parametrize("length", [1, 31, 32, 33, 57, 64, 100, 257])
@pytest.mark.parametrize("overlap", [0, 1, 8, 16])
def test_shares_add_up_to_one_everywhere(length: int, overlap: int) -> None:
    spans = cut(length, Tiling(32, overlap))
    total = torch.zeros(length)
    for span in spans:
        assert len(span.weights) == len(spans[0].weights) <= min(32, length)
        assert (span.weights >= 0).all()
        total[span.start : span.stop] += span.weights
    torch.testing.assert_close(total, torch.ones(length))
    assert all(first.stop - second.start >= overlap for first, second in pairwise(spans))


def test_tiles_stand_on_multiples() -> None:
    spans = cut(208, Tiling(70, 20, multiple=8))
    assert [span.start % 8 for span in spans] == [0] * len(spans)
    assert {len(span.weights) for span in spans} == {64}
    assert spans[-1].stop == 208


@pytest.mark.parametrize(
    ("length", "tiling", "starts", "side"),
    [
        (512, Tiling(368, 32), [0, 240], 272),  # 368 would compute twice what is there
        (513, Tiling(368, 32, multiple=8), [0, 240], 280),
        (800, Tiling(368, 32), [0, 256, 512], 288),
        (704, Tiling(368, 32), [0, 336], 368),
    ],
)
def test_tiles_are_no_larger_than_needed(length: int, tiling: Tiling, starts: list[int], side: int) -> None:
    spans = cut(-(-length // tiling.multiple) * tiling.multiple, tiling)
    assert [span.start for span in spans] == starts
    assert {len(span.weights) for span in spans} == {side}


def test_a_long_axis_takes_no_more_than_its_tiles() -> None:
    """A picture of 1 x 2^24 px asked for a matrix of 500 GB."""
    tiles = cut(4000, Tiling(32, 8))
    assert len(tiles) > 100
    assert {len(tile.weights.untyped_storage()) for tile in tiles} == {4 * len(tiles[0].weights)}


def test_weights_are_smooth_and_vanish_at_the_edge_of_a_tile() -> None:
    first, second, _ = cut(80, Tiling(32, 8))
    assert first.weights[0] == second.weights[16] == 1
    assert first.weights[-2:].tolist() == second.weights[:2].tolist() == [0, 0]
    assert first.weights.diff().abs().max() < 0.4  # a hard edge's step would be 1


@pytest.mark.parametrize("size", [(20, 20), (32, 90), (77, 33), (90, 91)])
def test_a_local_computation_is_not_changed_by_tiles(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    blur = torch.nn.AvgPool2d(5, stride=1, padding=2)  # sees 2 pixels around, the overlap's margin

    def compute(region: tuple[int, int, int, int]) -> torch.Tensor:
        top, left, height, width = region
        return blur(image[..., top : top + height, left : left + width])

    torch.testing.assert_close(blend(size, Tiling(32, 8), compute), blur(image))
    strips = torch.zeros_like(image)
    for row in cut(size[0], Tiling(32, 8)):
        strips[..., row.start : row.stop, :] += blend_strip(size[1], row, Tiling(32, 8), compute)
    torch.testing.assert_close(strips, blur(image))


def test_tiles_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="cannot overlap by 17 px"):
        Tiling(32, 17)
