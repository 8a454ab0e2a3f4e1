import pytest
import torch
from torch.testing import assert_close

from arbiscale.imaging.resize import Kernel, base_image, condition_image, resize, shrink


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
