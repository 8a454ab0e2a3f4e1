"""Random changes to crops."""

from collections import Counter

import numpy as np
import pytest

from arbiscale.config.data import AugmentationSettings, scaled_size
from arbiscale.config.sizes import Size
from arbiscale.data.augmentation import Augmentation


def augmentation(stored: Size = (32, 32), seed: int = 0, **changes) -> Augmentation:
    plain = {"crop_px": 32, "zoom_out": 1.0, "horizontal_flip": 0.0, "vertical_flip": 0.0, "transpose": 0.0}
    settings = AugmentationSettings(**(plain | changes))
    return Augmentation(settings, stored, scaled_size(stored, settings.crop_px, stored[0]), seed)


def coordinates(side: int, step: int = 4) -> np.ndarray:
    """A crop that shows where each pixel comes from: `step` times its column, its row, and zero."""
    row, column = np.mgrid[:side, :side] * step
    return np.stack([column, row, np.zeros_like(row)], axis=-1).astype(np.uint8)


def symmetry(sample: np.ndarray) -> tuple[bool, bool, bool]:
    """Whether a sample of `coordinates` is mirrored (left-right, up-down) and transposed."""
    column, row = (sample[..., channel].astype(int) for channel in (0, 1))
    transposed = abs(column[0, -1] - column[0, 0]) < abs(column[-1, 0] - column[0, 0])
    across, down = (row, column) if transposed else (column, row)
    return bool(across[0, 0] > across[0, -1]), bool(down[0, 0] > down[-1, 0]), bool(transposed)


def test_without_any_change_the_crop_comes_through():
    crop = coordinates(32)
    assert np.array_equal(augmentation()(crop, 5), crop)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("horizontal_flip", coordinates(32)[:, ::-1]),
        ("vertical_flip", coordinates(32)[::-1]),
        ("transpose", coordinates(32).transpose(1, 0, 2)),
    ],
)
def test_certain_changes(change: str, expected: np.ndarray):
    assert np.array_equal(augmentation(**{change: 1.0})(coordinates(32), 0), expected)


def test_changes_are_independent_of_each_other():
    even = augmentation(horizontal_flip=0.5, vertical_flip=0.5, transpose=0.5)
    crop = coordinates(32)
    counts = Counter(symmetry(even(crop, index)) for index in range(800))
    # 100 expected of each of the eight symmetries; five standard deviations are 47.
    assert len(counts) == 8
    assert all(53 <= count <= 147 for count in counts.values())


def test_samples_depend_on_seed_and_index_only():
    varied = {"crop_px": 12, "zoom_out": 2.0, "horizontal_flip": 0.5, "transpose": 0.5}
    first, second = augmentation(**varied), augmentation(**varied)
    crop = coordinates(32)
    forwards = [first(crop, index) for index in range(20)]
    backwards = [second(crop, index) for index in reversed(range(20))][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert len({sample.tobytes() for sample in forwards}) >= 19
    other_seed = augmentation(seed=1, **varied)
    assert sum(np.array_equal(other_seed(crop, index), forwards[index]) for index in range(20)) <= 1


def test_without_zoom_a_cut_is_taken_anywhere():
    cut = augmentation(stored=(40, 40), crop_px=8)
    samples = [cut(coordinates(40), index) for index in range(500)]
    corners = np.array([sample[0, 0, :2] // 4 for sample in samples])
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [32, 32]
    assert all(sample.shape == (8, 8, 3) for sample in samples)
    assert all(np.array_equal(sample - sample[0, 0], coordinates(8)) for sample in samples)


def test_zoom_reaches_from_one_to_its_limit_and_is_antialiased():
    crop = coordinates(64, step=3)
    crop[..., 2] = np.indices((64, 64)).sum(axis=0) % 2 * 255  # a checkerboard: the finest detail there is
    zooming = augmentation(stored=(64, 64), crop_px=16, zoom_out=3.0)
    samples = [zooming(crop, index).astype(float) for index in range(300)]
    zooms = np.array([(sample[:, -1, 0] - sample[:, 0, 0]).mean() / (15 * 3) for sample in samples])
    assert 0.98 <= zooms.min() <= 1.1
    assert 2.9 <= zooms.max() <= 3.02
    down = np.array([(sample[-1, :, 1] - sample[0, :, 1]).mean() / (15 * 3) for sample in samples])
    assert np.allclose(zooms, down, atol=0.05)  # nothing is stretched
    contrast = np.array([sample[..., 2].std() for sample in samples])
    assert contrast[zooms > 2.5].max() < 40  # 127 where pixels were merely skipped
    assert np.allclose([sample[..., 2].mean() for sample in samples], 127.5, atol=12)  # brightness stays
