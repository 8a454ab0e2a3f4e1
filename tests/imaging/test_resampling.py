import pytest
import torch
from torch.testing import assert_close

from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.resize import Kernel, resize

SIZES = [(26, 46), (13, 23), (9, 40), (5, 7), (1, 1), (117, 23), (64, 301)]


def image() -> torch.Tensor:
    return torch.rand(2, 3, 13, 23, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "nearest"])
def test_the_whole_is_what_resize_makes(size: tuple[int, int], kernel: Kernel) -> None:
    assert_close(
        resize_region(image(), size, (0, 0, *size), kernel), resize(image(), size, kernel), atol=5e-6, rtol=0
    )


@pytest.mark.parametrize("size", SIZES)
def test_regions_are_parts_of_the_whole_to_the_bit(size: tuple[int, int]) -> None:
    whole = resize_region(image(), size, (0, 0, *size))
    for top in range(0, size[0], 3):
        height = min(3, size[0] - top)
        assert torch.equal(
            resize_region(image(), size, (top, 0, height, size[1])), whole[..., top : top + height, :]
        )
    left = size[1] // 2
    part = resize_region(image(), size, (0, left, size[0], size[1] - left))
    assert torch.equal(part, whole[..., left:])


def test_one_pixel_in() -> None:
    assert_close(
        resize_region(torch.full((1, 1, 1, 1), 0.25), (4, 9), (1, 2, 3, 4)), torch.full((1, 1, 3, 4), 0.25)
    )
