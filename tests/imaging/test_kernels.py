"""MATLAB's bicubic against the low resolutions it made; regions against the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from arbiscale.imaging.kernels import matlab_bicubic, resize_region
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.resize import Kernel, resize

SIZES = [(26, 46), (13, 23), (9, 40), (5, 7), (1, 1), (117, 23), (64, 301)]


def read(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_image(path)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_published_low_resolution_is_met_to_the_bit(shared: Path, scale: int, number: int) -> None:
    folder = shared / "data/benchmarks/set5"
    high = read(folder / f"x{scale}_HR/img_00{number}_SRF_{scale}_HR.png")
    low = read(folder / f"x{scale}_LR/img_00{number}_SRF_{scale}_LR.png")
    assert torch.equal(matlab_bicubic(high, (low.shape[-2], low.shape[-1])), low)


def test_a_constant_stays_and_a_ramp_is_halved_in_its_middle() -> None:
    assert (matlab_bicubic(torch.full((1, 3, 9, 14), 77, dtype=torch.uint8), (5, 30)) == 77).all()
    ramp = torch.arange(0, 120, 4, dtype=torch.uint8).expand(1, 1, 6, 30)
    halved = matlab_bicubic(ramp, (6, 15))[0, 0, 0]
    assert halved[2:-2].tolist() == [8 * index + 2 for index in range(2, 13)]


def test_the_axis_that_shrinks_most_is_first_and_axes_may_differ() -> None:
    image = torch.randint(
        0, 256, (2, 3, 20, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(
        matlab_bicubic(image, (30, 8)), matlab_bicubic(matlab_bicubic(image, (20, 8)), (30, 8))
    )
    turned = matlab_bicubic(image.mT.contiguous(), (8, 30)).mT
    assert torch.equal(matlab_bicubic(image, (30, 8)), turned)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        matlab_bicubic(torch.zeros(1, 3, 8, 8), (4, 4))


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
