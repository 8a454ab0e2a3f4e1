"""MATLAB's bicubic against the low resolutions it made, and closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arbiscale.imaging.kernels import matlab_bicubic
from arbiscale.imaging.picture_files import read_image


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
