import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.resize import Kernel, base_image, condition_image, resize, shrink

SIZES = [(48, 80), (7, 5), (24, 120), (96, 11), (1, 1), (24, 40), (128, 96)]
ODD_SIZES = [(23, 41), (131, 77)]  # here a centre falls on an edge, where nearest may take either pixel
FILTERS: dict[Kernel, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1


def with_pil(plane: NDArray[np.float32], size: tuple[int, int], kernel: Kernel) -> Tensor:
    return torch.from_numpy(np.array(Image.fromarray(plane).resize(size[::-1], FILTERS[kernel])))


@pytest.mark.parametrize(
    ("kernel", "size"),
    [(kernel, size) for kernel in FILTERS for size in SIZES + ODD_SIZES * (kernel != "nearest")],
)
def test_equals_pil(image: Tensor, kernel: Kernel, size: tuple[int, int]) -> None:
    resized = resize(image, size, kernel)
    assert resized.shape == (2, 3, *size)
    expected = [with_pil(plane.numpy(), size, kernel) for plane in image.flatten(0, 1)]
    assert_close(resized.flatten(0, 1), torch.stack(expected), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("width", [1, 2, 40])
@pytest.mark.parametrize("height", [1, 7, 24, 90])
def test_a_single_column_equals_pils(image: Tensor, kernel: Kernel, width: int, height: int) -> None:
    """torch's own is off by half of the range."""
    resized = resize(image[..., :width], (height, 1), kernel)
    expected = [with_pil(plane[:, :width].numpy(), (height, 1), kernel) for plane in image.flatten(0, 1)]
    assert_close(resized.flatten(0, 1), torch.stack(expected), atol=2e-5, rtol=0)


def test_bicubic_overshoots_and_is_not_clamped() -> None:
    edge = torch.ones(1, 1, 8, 8)
    edge[..., :4] = -1
    assert resize(edge, (32, 32)).max() > 1.01


def test_shrinking_a_checkerboard_gives_its_mean() -> None:
    rows = torch.arange(64)
    board = ((rows[:, None] + rows) % 2).float().expand(1, 1, 64, 64)
    inside = resize(board, (8, 8))[..., 1:-1, 1:-1]  # without antialiasing: 0 or 1
    assert_close(inside, torch.full_like(inside, 0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kernel", FILTERS)
def test_gradient_of_a_sum_is_each_pixels_total_weight(image: Tensor, kernel: Kernel) -> None:
    image.requires_grad_()
    resize(image, (12, 20), kernel).sum().backward()
    assert image.grad is not None
    assert_close(image.grad.sum((2, 3)), torch.full((2, 3), 12.0 * 20), atol=1e-2, rtol=0)


def test_low_resolution_is_the_shrunk_picture_within_range() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 3, 24, 40).sign()  # shrinking black and white overshoots
    low_resolution = shrink(image, 2)
    resized = resize(image, (12, 20), "bicubic")
    assert resized.abs().max() > 1
    assert_close(low_resolution, resized.clamp(-1, 1))


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_the_condition_is_enlarged_by_the_training_factor(kernel: Kernel) -> None:
    low_resolution = torch.rand(1, 3, 5, 9)
    enlarged = condition_image(low_resolution, 4, kernel)
    assert_close(enlarged, resize(low_resolution, (20, 36), kernel))


def test_nearest_repeats_pixels() -> None:
    low_resolution = torch.rand(1, 3, 5, 9)
    enlarged = condition_image(low_resolution, 3, "nearest")
    assert torch.equal(enlarged, low_resolution.repeat_interleave(3, 2).repeat_interleave(3, 3))


def test_the_base_is_bicubic_at_the_outputs_size() -> None:
    low_resolution = torch.rand(1, 3, 5, 9)
    assert_close(base_image(low_resolution, (13, 31)), resize(low_resolution, (13, 31), "bicubic"))
