"""Base samples are standard normal, and functions of seed and position."""

from __future__ import annotations

import pytest
import torch

from arbiscale.networks.texture import Texture

ROWS, COLUMNS, CHANNELS = 200, 300, 3


def whole(texture: Texture, grid: int = 0) -> torch.Tensor:
    (samples,) = texture.base_samples(range(ROWS), range(COLUMNS), CHANNELS, grid)
    return samples


def test_samples_are_standard_normal_times_the_temperature() -> None:
    samples = whole(Texture(1.0, seed=1))
    assert samples.shape == (ROWS, COLUMNS, CHANNELS)
    assert samples.dtype == torch.float32
    values = samples.double().flatten()
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs(values.pow(3).mean()) < 0.03
    assert abs(values.pow(4).mean() - 3) < 0.1
    assert torch.equal(whole(Texture(0.25, seed=1)), samples / 4)


def test_samples_are_independent_along_every_axis_and_of_other_seeds_and_grids() -> None:
    samples = whole(Texture(1.0, seed=1))
    others = [samples.roll(1, dim) for dim in (0, 1, 2)]
    others += [whole(Texture(1.0, seed=2)), whole(Texture(1.0, seed=1), grid=1)]
    for other in others:
        correlation = (samples * other).mean()
        assert abs(correlation) < 0.01  # 4 deviations of 180,000 products


@pytest.mark.parametrize(
    ("rows", "columns"), [(range(1), range(1)), (range(7, 30), range(11, 300)), (range(199, 200), range(300))]
)
def test_a_region_has_the_samples_of_its_position(rows: range, columns: range) -> None:
    texture = Texture(0.8, seed=3)
    (part,) = texture.base_samples(rows, columns, CHANNELS)
    assert torch.equal(part, whole(texture)[rows.start : rows.stop, columns.start : columns.stop])


def test_a_detail_of_a_wide_picture_is_drawn_without_what_lies_left_of_it() -> None:
    """Else each row of a look deep into a picture took seconds and a gigabyte."""
    texture, far = Texture(0.8, seed=3), 2**40
    (part,) = texture.base_samples(range(1), range(far - 50, far + 50), CHANNELS)
    for start, stop in ((0, 50), (50, 100), (40, 60)):
        (less,) = texture.base_samples(range(1), range(far - 50 + start, far - 50 + stop), CHANNELS)
        assert torch.equal(less, part[:, start:stop])
    assert len(part.unique()) == part.numel()


def test_images_with_seeds_of_their_own_have_the_samples_of_each() -> None:
    both = Texture(0.8, seed=(3, 5)).base_samples(range(7), range(9), CHANNELS)
    for samples, seed in zip(both, (3, 5), strict=True):
        assert torch.equal(samples, Texture(0.8, seed).base_samples(range(7), range(9), CHANNELS)[0])
    assert not torch.equal(*both)


def test_temperature_0_draws_zeros() -> None:
    assert not whole(Texture()).any()
